//! The settings of a consumer.

use std::time::Duration;

use crate::retention::Retention;
use crate::retry::RetryPolicy;

/// How a consumer works.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// How many deliveries may be unacknowledged at once.
    pub prefetch: u16,
    /// How many transactions run side by side.
    pub lanes: usize,
    /// When a handler counts as failed because it does not end.
    pub handler_time_out: Duration,
    /// When a failed event is tried again, and when it is given up on.
    pub retry: RetryPolicy,
    /// How long the first event to arrive of an unknown aggregate waits for earlier ones, where order is kept. Longer than
    /// a replica that has one of those can keep it: until its heartbeat or its handlers' time is over.
    pub baseline_wait: Duration,
    /// How long an event of a type that this build does not know waits for a process that knows it. Then it is skipped.
    pub unknown_wait: Duration,
    /// How long an event may be on its way after the checkpoint that lists it has come. Then it counts as missing.
    pub missing_after: Duration,
    /// How long the inbox remembers an event: INBOX_RETENTION. What is older is not compared with checkpoints.
    pub inbox_retention: Duration,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            prefetch: 20,
            lanes: 4,
            handler_time_out: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            baseline_wait: Duration::from_secs(120),
            unknown_wait: Duration::from_secs(3600),
            missing_after: Duration::from_secs(60),
            inbox_retention: Retention::default().inbox,
        }
    }
}
