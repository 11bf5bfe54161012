//! Handlers: their arguments and results.
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
/// The transaction already has the inbox row: writes through it happen exactly once per event. Effects outside of it do
/// not, so a handler must have none.
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

/// Names the future of an `async fn` for one lifetime, which `Fn` alone cannot.
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

/// The common content of an aggregate's events, for an [observer](super::Subscriptions::observe).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advanced {
    /// The id of the aggregate.
    pub aggregate_id: String,
    /// Its version after the event.
    pub version: i64,
}

/// An event's metadata, for its handler.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The metadata that travelled with the event.
    pub envelope: Envelope,
    /// 1, plus one after each failure.
    pub attempt: u32,
    /// Later versions of its aggregate were handled before: it was lost, and an operator has handed it over. A view that keeps the
    /// aggregate's version compares it.
    pub late: bool,
    /// When the attempt began, by the database's clock, in Unix milliseconds: a handler needs no query for the time.
    pub now_ms: i64,
}

impl Delivered {
    /// The cause for events that the handler enqueues.
    pub fn cause(&self) -> Cause {
        Cause {
            correlation_id: self.envelope.correlation_id.clone(),
            event_id: Some(self.envelope.id),
        }
    }
}

/// Why a handler failed, and what happens to the event. In both cases its transaction is rolled back.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// It may succeed later: the event is deferred, until its attempts or its age are used up.
    #[error("{0}")]
    Retry(Box<dyn std::error::Error + Send + Sync>),
    /// It can never succeed: the event is dead until an operator replays it.
    #[error("{0}")]
    Reject(Box<dyn std::error::Error + Send + Sync>),
}

impl HandlerError {
    /// Retry later.
    pub fn retry(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Retry(cause.into())
    }

    /// The database's error, if it is the cause and not about the statement: the database was unavailable, or ended the
    /// transaction because of a conflict.
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

/// A failed statement may succeed later. Pass a database's error on unchanged: if the database was unavailable, the
/// event is handled again without counting an attempt.
impl From<DbErr> for HandlerError {
    fn from(error: DbErr) -> Self {
        Self::retry(error)
    }
}
