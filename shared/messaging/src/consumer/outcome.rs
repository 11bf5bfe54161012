//! The outcome of an event, and why its transaction cannot be committed.
//!
//! Failures of the handler and of the store are different: only a handler's failure counts as an attempt of the event.

use std::time::Duration;

use sea_orm::DbErr;
use store::Class;

use crate::inbox::Held;
use crate::subscription::HandlerError;

/// The outcome of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Handled,
    /// The same, and the order of its aggregate begins with it, because nothing earlier has arrived.
    Baseline,
    /// As that, after later versions of its aggregate: it was lost, and was handed over.
    Late,
    /// Seen before, or taken by another worker.
    Duplicate,
    /// Held in this state, with the cause, if any.
    Held(Held, Option<String>),
    /// Held until a process that knows its type takes it, or for this long.
    Unknown(Duration),
    /// To be retried after this long.
    Deferred(Duration, String),
}

impl Outcome {
    /// Its type stayed unknown for too long.
    pub(super) fn skipped() -> Self {
        Self::Held(Held::Skipped, None)
    }

    /// Why it could not be handled.
    pub(super) fn cause(&self) -> Option<&str> {
        match self {
            Self::Handled | Self::Baseline | Self::Late | Self::Duplicate | Self::Unknown(_) => {
                None
            }
            Self::Held(_, cause) => cause.as_deref(),
            Self::Deferred(_, cause) => Some(cause),
        }
    }
}

/// Why a transaction cannot be committed.
pub(super) enum Failure {
    /// The event's failure, which counts as an attempt.
    Handler(HandlerError),
    /// The same; and a statement may still be running, so nothing waits for the end of its transaction.
    TimedOut(HandlerError),
    /// Its events cannot share a transaction: each is handled alone, and no attempt counts.
    Apart,
    /// The same; and the handler of the event with this id is too slow for a shared transaction.
    TooLong(String),
    /// The store's failure: no attempt counts.
    Store(DbErr),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Handler(error) | Self::TimedOut(error) => error.fmt(formatter),
            Self::Apart => formatter.write_str("one of the events needs a transaction of its own"),
            Self::TooLong(event_id) => {
                write!(
                    formatter,
                    "the handler of {event_id} is too slow for a shared transaction"
                )
            }
            Self::Store(error) => error.fmt(formatter),
        }
    }
}

impl From<HandlerError> for Failure {
    /// A handler passes on the store's error. If that is not about its statement, the failure is the store's.
    fn from(error: HandlerError) -> Self {
        match error.store_failure() {
            Some(error) => Self::Store(error),
            None => Self::Handler(error),
        }
    }
}

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        match store::class(&error) {
            Class::AfterFailure => {
                let cause = "its handler ignored a failed statement";
                Self::Handler(HandlerError::retry(cause))
            }
            // The content of the message is the cause, so waiting for the database does not help.
            Class::Content | Class::Duplicate => Self::Handler(HandlerError::retry(error)),
            _ => Self::Store(error),
        }
    }
}
