//! One event's way through one transaction: seen before? its turn? then its handler, and the inbox row beside the effect.
//!
//! Guarantee: the effect and the fact that the event was seen are committed together or not at all. Failures of the handler
//! are told apart from failures of the store: only the former are the event's, and cost it an attempt.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use event::{Envelope, Message, aggregate_type};
use futures::FutureExt as _;
use sea_orm::DbErr;

use super::decision::{Arrival, Turn, arrived, turn};
use super::processing;
use crate::faults;
use crate::inbox::positions::{self, Moved};
use crate::inbox::{self, Handled, Held};
use crate::retry::{RetryPolicy, millis};
use crate::subscription::{Delivered, HandlerError, Subscriptions};
use crate::telemetry::{Instruments, System};
use crate::transaction::Transaction;
use store::Class;

mod batch;
mod discarded;
mod due;
mod keeping;

pub(super) use batch::TOGETHER;

pub(super) struct Handling {
    pub(super) subscriptions: Subscriptions,
    pub(super) retry: RetryPolicy,
    pub(super) handler_time_out: Duration,
    pub(super) baseline_wait: Duration,
    pub(super) system: System,
    pub(super) instruments: Instruments,
}

/// The cause of an event that came after later ones of its aggregate had been handled.
const OVERTAKEN: &str = "it came after the event with which the order of its aggregate begins here";

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Handled,
    /// As that; and the order of its aggregate begins with it here, because nothing earlier has come.
    Baseline,
    /// Seen before, or in other hands by now.
    Duplicate,
    /// Kept in this state, for the cause that there is.
    Held(Held, Option<String>),
    /// To be tried again after this long.
    Deferred(Duration, String),
}

impl Outcome {
    /// Why it could not be handled, where it could not.
    pub(super) fn cause(&self) -> Option<&str> {
        match self {
            Self::Handled | Self::Baseline | Self::Duplicate => None,
            Self::Held(_, cause) => cause.as_deref(),
            Self::Deferred(_, cause) => Some(cause),
        }
    }
}

/// Why an event's transaction cannot be committed.
pub(super) enum Failure {
    /// The event's, and an attempt at it.
    Handler(HandlerError),
    /// As that; and it may be at a statement still, so that nobody waits for the end of its transaction.
    TimedOut(HandlerError),
    /// Nobody's.
    Store(DbErr),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Handler(error) | Self::TimedOut(error) => error.fmt(formatter),
            Self::Store(error) => error.fmt(formatter),
        }
    }
}

impl Failure {
    /// A handler hands on what the store has answered: where that was nothing about its statement, it is nobody's failure.
    fn of(error: HandlerError) -> Self {
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
            // It is in the message, so it does not help to wait for the database.
            Class::Content | Class::Duplicate => Self::Handler(HandlerError::retry(error)),
            _ => Self::Store(error),
        }
    }
}

impl Handling {
    /// Takes up a message that has just arrived.
    pub(super) async fn arrived(
        &self,
        transaction: &Transaction,
        message: &Message,
    ) -> Result<Outcome, Failure> {
        let envelope = match Envelope::from_message(message) {
            Ok(envelope) => envelope,
            Err(error) => {
                let event_id = event::event_id(message).to_string();
                let cause = undecodable(&error);
                let entry = self.entry(&event_id, None, message);
                return self
                    .hold(transaction, &entry, Held::Dead, Some(&cause), None)
                    .await;
            }
        };
        let event_id = envelope.id.to_string();
        let entry = self.entry(&event_id, Some(&envelope), message);
        let aggregate = aggregate_type(&message.routing_key);
        let turn = self.turn(transaction, aggregate, &envelope).await?;
        let (held, cause, due_in_ms) =
            match arrived(turn, self.subscriptions.knows(&envelope.event_type)) {
                Arrival::Handle => return self.handle_first(transaction, message, envelope).await,
                Arrival::Skip => (Held::Skipped, None, None),
                Arrival::Wait => (Held::Waiting, None, None),
                Arrival::WaitForTheBeginning => {
                    (Held::Waiting, None, Some(millis(self.baseline_wait)))
                }
                Arrival::Overtaken => (Held::Dead, Some(OVERTAKEN), None),
            };
        let outcome = self
            .hold(transaction, &entry, held, cause, due_in_ms)
            .await?;
        if outcome == Outcome::Held(Held::Skipped, None) {
            self.advance(transaction, aggregate, &envelope).await?;
        }
        Ok(outcome)
    }

    /// Handles an event unless it was handled before.
    async fn handle_first(
        &self,
        transaction: &Transaction,
        message: &Message,
        envelope: Envelope,
    ) -> Result<Outcome, Failure> {
        let event = Handled {
            envelope: &envelope,
            aggregate_type: aggregate_type(&message.routing_key),
        };
        let came = inbox::first_times(transaction, self.consumer(), &[event]).await?;
        let Some(&now_ms) = came.get(&envelope.id) else {
            return Ok(Outcome::Duplicate);
        };
        processing::note_queue_wait(message, now_ms);
        faults::point("seen");
        let delivered = Delivered {
            envelope,
            attempt: 1,
            now_ms,
        };
        self.handle(transaction, message, &delivered).await?;
        Ok(Outcome::Handled)
    }

    async fn handle(
        &self,
        transaction: &Transaction,
        message: &Message,
        delivered: &Delivered,
    ) -> Result<(), Failure> {
        self.call(transaction, message, delivered, self.handler_time_out)
            .await?;
        let aggregate = aggregate_type(&message.routing_key);
        self.advance(transaction, aggregate, &delivered.envelope)
            .await
    }

    /// Calls the event's handler.
    async fn call(
        &self,
        transaction: &Transaction,
        message: &Message,
        delivered: &Delivered,
        limit: Duration,
    ) -> Result<(), Failure> {
        let handling = self
            .subscriptions
            .handle(transaction, message.body.clone(), delivered);
        // A handler that panics or hangs is a handler that failed: neither may take the consumer with it.
        let outcome = tokio::time::timeout(limit, AssertUnwindSafe(handling).catch_unwind()).await;
        match outcome {
            Err(_) => {
                let cause = format!("no end within {limit:?}");
                return Err(Failure::TimedOut(HandlerError::retry(cause)));
            }
            Ok(Err(panic)) => {
                let cause = format!("panicked: {}", panic_text(&*panic));
                return Err(Failure::Handler(HandlerError::retry(cause)));
            }
            Ok(Ok(result)) => result.map_err(Failure::of)?,
        }
        faults::point("handled");
        Ok(())
    }

    /// Whether it is the event's turn, where order is kept. Its aggregate's position is locked from here on.
    async fn turn(
        &self,
        transaction: &Transaction,
        aggregate: &str,
        envelope: &Envelope,
    ) -> Result<Turn, Failure> {
        let Some(version) = self.version(aggregate, envelope)? else {
            return Ok(Turn::Now);
        };
        let position = self.position(transaction, aggregate, envelope).await?;
        Ok(turn(position, version))
    }

    /// The version of the aggregate that was handled last; `None` where none was. It is locked from here on.
    async fn position(
        &self,
        transaction: &Transaction,
        aggregate: &str,
        envelope: &Envelope,
    ) -> Result<Option<i64>, DbErr> {
        let aggregate = (aggregate.to_owned(), envelope.aggregate_id.clone());
        let locked = positions::lock(transaction, self.consumer(), [aggregate]).await?;
        Ok(locked.into_values().next())
    }

    /// Moves the position past the event, where order is kept.
    async fn advance(
        &self,
        transaction: &Transaction,
        aggregate: &str,
        envelope: &Envelope,
    ) -> Result<(), Failure> {
        let Some(version) = self.version(aggregate, envelope)? else {
            return Ok(());
        };
        let aggregate = (aggregate.to_owned(), envelope.aggregate_id.clone());
        let moved = Moved { version, events: 1 };
        positions::advance(transaction, self.consumer(), [(&aggregate, &moved)]).await?;
        Ok(())
    }

    pub(super) fn consumer(&self) -> &'static str {
        self.subscriptions.consumer()
    }

    /// When it is tried again, and given up on.
    pub(super) fn policy(&self, message: &Message) -> RetryPolicy {
        let event_type = message.event_type.as_deref();
        self.subscriptions.policy(event_type, &self.retry)
    }

    /// Whether the message says that it is an event which this build knows.
    pub(super) fn knows(&self, message: &Message) -> bool {
        let event_type = message.event_type.as_deref();
        event_type.is_some_and(|event_type| self.subscriptions.knows(event_type))
    }

    /// The event's version where its aggregate's events are taken in order.
    fn version(&self, aggregate: &str, envelope: &Envelope) -> Result<Option<i64>, Failure> {
        if !self.subscriptions.takes_in_order(aggregate) || faults::broken("no-version-guard") {
            return Ok(None);
        }
        match envelope.aggregate_version {
            Some(version) => Ok(Some(version)),
            None => Err(Failure::Handler(HandlerError::reject(
                "undecodable: it has no cloudEvents_sequence, so it cannot be put in order",
            ))),
        }
    }
}

/// Said of a message in the same words whenever it is found out.
fn undecodable(error: &impl std::fmt::Display) -> String {
    format!("undecodable: {error}")
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or(panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
