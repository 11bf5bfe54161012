//! What the functions in the table look like: what they are given, and what they may answer.
//!
//! The transaction is the event's own, with its inbox row: a handler cannot forget idempotency.

use event::Envelope;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sea_orm::DbErr;

use crate::outbox::Cause;
use crate::transaction::Transaction;

/// An `async fn(&Transaction, E, &Delivered) -> Result<(), HandlerError>`: implemented for all such functions.
///
/// The transaction has the inbox row in it already: what the handler writes through it happens exactly once for the
/// event. What it does outside of it does not, so it does nothing outside.
pub trait Handle<E>: Send + Sync + 'static {
    /// Calls the function.
    fn handle<'a>(
        &self,
        transaction: &'a Transaction,
        event: E,
        delivered: &'a Delivered,
    ) -> BoxFuture<'a, Result<(), HandlerError>>;
}

impl<E, F> Handle<E> for F
where
    F: for<'a> Call<'a, E> + Send + Sync + 'static,
{
    fn handle<'a>(
        &self,
        transaction: &'a Transaction,
        event: E,
        delivered: &'a Delivered,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        self.call(transaction, event, delivered).boxed()
    }
}

/// Names the future that an `async fn` returns for one lifetime, which `Fn` alone cannot.
pub trait Call<'a, E> {
    /// The future.
    type Future: Future<Output = Result<(), HandlerError>> + Send + 'a;

    /// Calls the function.
    fn call(
        &self,
        transaction: &'a Transaction,
        event: E,
        delivered: &'a Delivered,
    ) -> Self::Future;
}

impl<'a, E, F, R> Call<'a, E> for F
where
    F: Fn(&'a Transaction, E, &'a Delivered) -> R,
    R: Future<Output = Result<(), HandlerError>> + Send + 'a,
{
    type Future = R;

    fn call(&self, transaction: &'a Transaction, event: E, delivered: &'a Delivered) -> R {
        self(transaction, event, delivered)
    }
}

/// What every event of an aggregate says, for an [observer](super::Subscriptions::observe).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advanced {
    /// The id of the aggregate.
    pub aggregate_id: String,
    /// Its version after the event.
    pub version: i64,
}

/// An event's circumstances, for its handler.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// What travelled beside the event.
    pub envelope: Envelope,
    /// 1, and one more after each failure.
    pub attempt: u32,
    /// Later versions of its aggregate were handled before: it was lost, and an operator has handed it over. A view that keeps the
    /// aggregate's version compares it.
    pub late: bool,
    /// When it was taken up, by the database's clock, in Unix milliseconds: a handler needs no statement for the time.
    pub now_ms: i64,
}

impl Delivered {
    /// The cause of what the handler enqueues in turn.
    pub fn cause(&self) -> Cause {
        Cause {
            correlation_id: self.envelope.correlation_id.clone(),
            event_id: Some(self.envelope.id),
        }
    }
}

/// Why a handler could not do its work, and what is to become of the event. Either way its transaction is rolled back.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// It may work later: the event is deferred, until its attempts or its age are used up.
    #[error("{0}")]
    Retry(Box<dyn std::error::Error + Send + Sync>),
    /// It will never work: the event is dead until an operator replays it.
    #[error("{0}")]
    Reject(Box<dyn std::error::Error + Send + Sync>),
}

impl HandlerError {
    /// Try again later.
    pub fn retry(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Retry(cause.into())
    }

    /// What the database has answered, where that is the cause and says nothing of the statement: it was away, or has given the
    /// transaction up for the sake of another one.
    pub(crate) fn store_failure(&self) -> Option<DbErr> {
        let Self::Retry(cause) = self else {
            return None;
        };
        let error = cause.downcast_ref::<DbErr>()?;
        store::is_transient(error).then(|| error.clone())
    }

    /// Give up on this event.
    pub fn reject(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Reject(cause.into())
    }
}

/// A statement that failed may work on another day. Hand a database's error on as it is: where the database was away, the event is
/// taken up again without an attempt being spent.
impl From<DbErr> for HandlerError {
    fn from(error: DbErr) -> Self {
        Self::retry(error)
    }
}
