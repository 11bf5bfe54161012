//! What became of an event, and why the transaction of one cannot be committed.
//!
//! Failures of the handler and failures of the store are different things: only the former are the event's, and cost it an attempt.

use std::time::Duration;

use sea_orm::DbErr;
use store::Class;

use crate::inbox::Held;
use crate::subscription::HandlerError;

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Handled,
    /// As that; and the order of its aggregate begins with it here, because nothing earlier has come.
    Baseline,
    /// As that, after later versions of its aggregate: it was lost, and was handed over.
    Late,
    /// Seen before, or in other hands by now.
    Duplicate,
    /// Kept in this state, for the cause that there is.
    Held(Held, Option<String>),
    /// Kept until a process that knows its type takes it up, or for this long.
    Unknown(Duration),
    /// To be tried again after this long.
    Deferred(Duration, String),
}

impl Outcome {
    /// Its type stayed unknown for too long.
    pub(super) fn skipped() -> Self {
        Self::Held(Held::Skipped, None)
    }

    /// Why it could not be handled, where it could not.
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
    /// The event's, and an attempt at it.
    Handler(HandlerError),
    /// As that; and it may be at a statement still, so nothing waits for the end of its transaction.
    TimedOut(HandlerError),
    /// Its events cannot share a transaction: each is taken up alone, and no attempt is spent.
    Apart,
    /// As that; and the handler of the event with this id takes longer than the others should wait.
    TooLong(String),
    /// The store's: no attempt is spent.
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
                    "the handler of {event_id} takes longer than others should wait"
                )
            }
            Self::Store(error) => error.fmt(formatter),
        }
    }
}

impl From<HandlerError> for Failure {
    /// A handler hands on what the store has answered: where that says nothing about its statement, the failure is the store's.
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
                let cause = "its handler went on after a statement that had failed";
                Self::Handler(HandlerError::retry(cause))
            }
            // The content of the message causes it, so it does not help to wait for the database.
            Class::Content | Class::Duplicate => Self::Handler(HandlerError::retry(error)),
            _ => Self::Store(error),
        }
    }
}
