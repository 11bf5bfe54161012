//! The shared state for handling an event; the steps are in `plan.rs`, `transaction.rs` and `park.rs`.

use std::time::Duration;

use event::Message;

use crate::checkpoint::Receiving;
use crate::retry::RetryPolicy;
use crate::subscription::Subscriptions;
use crate::telemetry::{Instruments, System};

pub(super) const TOGETHER: usize = 50;

pub(super) struct Pipeline {
    pub(super) subscriptions: Subscriptions,
    pub(super) retry: RetryPolicy,
    pub(super) handler_time_out: Duration,
    pub(super) baseline_wait: Duration,
    pub(super) unknown_wait: Duration,
    pub(super) system: System,
    pub(super) instruments: Instruments,
    pub(super) checkpoints: Receiving,
}

impl Pipeline {
    pub(super) fn consumer(&self) -> &'static str {
        self.subscriptions.consumer()
    }

    pub(super) fn policy(&self, message: &Message) -> RetryPolicy {
        let event_type = message.event_type.as_deref();
        self.subscriptions.policy(event_type, &self.retry)
    }

    pub(super) fn knows(&self, message: &Message) -> bool {
        let event_type = message.event_type.as_deref();
        event_type.is_some_and(|event_type| self.subscriptions.knows(event_type))
    }
}
