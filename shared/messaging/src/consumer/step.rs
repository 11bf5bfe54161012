//! What a transaction does with each of its events, new or held.

use std::collections::HashMap;
use std::time::Duration;

use event::Message;

use super::decide::Passing;
use crate::inbox::positions::{Aggregate, Moved};
use crate::inbox::{NotDone, RetryLease};
use crate::subscription::Delivered;

#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) message: &'a Message,
    pub(super) leased: Option<&'a RetryLease>,
}

impl<'a> Item<'a> {
    pub(super) fn arrived(message: &'a Message) -> Self {
        Self {
            message,
            leased: None,
        }
    }

    pub(super) fn held(leased: &'a RetryLease) -> Self {
        Self {
            message: &leased.message,
            leased: Some(leased),
        }
    }

    pub(super) fn event_id(&self) -> String {
        match self.leased {
            Some(leased) => leased.event_id.clone(),
            None => event::event_id(self.message).to_string(),
        }
    }

    pub(super) fn attempt(&self) -> u32 {
        self.leased.map_or(0, |leased| leased.attempts) + 1
    }

    /// An operator has decided about it, or an attempt never ended.
    pub(super) fn is_special(&self) -> bool {
        self.leased
            .is_some_and(|leased| leased.discarded || leased.replayed || leased.never_ended > 0)
    }
}

pub(super) struct Plan<'a> {
    pub(super) steps: Vec<Step<'a>>,
    pub(super) moved: HashMap<Aggregate, Moved>,
}

pub(super) struct Step<'a> {
    pub(super) item: Item<'a>,
    pub(super) action: Action,
    pub(super) aggregate: Option<Aggregate>,
}

pub(super) enum Action {
    Handle(Delivered),
    Begin(Delivered),
    /// Its type stayed unknown for too long: only observers of its aggregate get it.
    Skip(Delivered),
    /// Seen before, or taken by another worker.
    Duplicate,
    Hold {
        state: NotDone,
        cause: Option<String>,
        due_in_ms: Option<i64>,
    },
    HoldUnknown(Duration),
    WaitAgain,
    PassOver(Passing),
    /// Its last attempts all ended with their process.
    GiveUp,
}
