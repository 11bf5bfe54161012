//! The outcome of an event, and why its transaction cannot be committed.
//!
//! Only a handler's failure counts as an attempt, not the store's.

use std::time::Duration;

use sea_orm::DbErr;
use store::Class;

use crate::inbox::NotDone;
use crate::subscription::HandlerError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Handled,
    /// Its order begins with it, because nothing earlier has arrived.
    Baseline,
    /// Handled after later versions of its aggregate: it was lost and then handed over.
    Late,
    /// Seen before, or taken by another worker.
    Duplicate,
    NotDone(NotDone, Option<String>),
    Unknown(Duration),
    Deferred(Duration, String),
}

impl Outcome {
    /// Its type stayed unknown for too long.
    pub(super) fn skipped() -> Self {
        Self::NotDone(NotDone::Skipped, None)
    }

    pub(super) fn cause(&self) -> Option<&str> {
        match self {
            Self::Handled | Self::Baseline | Self::Late | Self::Duplicate | Self::Unknown(_) => {
                None
            }
            Self::NotDone(_, cause) => cause.as_deref(),
            Self::Deferred(_, cause) => Some(cause),
        }
    }
}

pub(super) enum Failure {
    /// It counts as an attempt.
    Handler(HandlerError),
    /// A statement may still be running, so nothing waits for the end of its transaction.
    TimedOut(HandlerError),
    /// Each is handled alone, and no attempt counts.
    Apart,
    /// As `Apart`: the handler of this event is too slow for a shared transaction.
    TooLong(String),
    /// No attempt counts.
    Store(DbErr),
    /// As `Store`, for a statement of the handler.
    StoreOfHandler(DbErr),
}

/// The database has failed a transaction: nothing has changed, and no attempt counts.
pub(super) struct StoreFailed {
    pub(super) error: DbErr,
    /// The handler was called, so it was the turn of its event.
    pub(super) in_handler: bool,
}

impl From<DbErr> for StoreFailed {
    fn from(error: DbErr) -> Self {
        Self {
            error,
            in_handler: false,
        }
    }
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
            Self::Store(error) | Self::StoreOfHandler(error) => error.fmt(formatter),
        }
    }
}

impl From<HandlerError> for Failure {
    /// One that is not about the handler's statement is the store's failure.
    fn from(error: HandlerError) -> Self {
        match error.store_failure() {
            Some(error) => Self::StoreOfHandler(error),
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
            // The message is the cause, so waiting for the database does not help.
            Class::Content | Class::Duplicate => Self::Handler(HandlerError::retry(error)),
            _ => Self::Store(error),
        }
    }
}
