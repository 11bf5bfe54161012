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
/// Writes through the transaction happen exactly once per event. Effects outside of it do not, so a handler must have
/// none.
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

/// What all events of an aggregate have, for an [observer](super::Subscriptions::observe).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advanced {
    /// The id of the aggregate.
    pub aggregate_id: String,
    /// After the event.
    pub version: i64,
}

/// An event's metadata, for its handler.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// As it travelled with the event.
    pub envelope: Envelope,
    /// 1, plus one after each failure.
    pub attempt: u32,
    /// Later versions of its aggregate were handled before: it was lost, and an operator has handed it over. A view has
    /// to compare versions.
    pub late: bool,
    /// When the attempt began, in Unix milliseconds by the database's clock.
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

/// Why a handler failed. Its transaction is rolled back.
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
    /// See [`Self::Retry`].
    pub fn retry(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Retry(cause.into())
    }

    /// Set unless the error is about the statement.
    pub(crate) fn store_failure(&self) -> Option<DbErr> {
        let Self::Retry(cause) = self else {
            return None;
        };
        let error = cause.downcast_ref::<DbErr>()?;
        store::is_transient(error).then(|| error.clone())
    }

    /// See [`Self::Reject`].
    pub fn reject(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Reject(cause.into())
    }
}

/// Pass a database's error on unchanged: if the database was unavailable, the event is handled again without counting
/// an attempt.
impl From<DbErr> for HandlerError {
    fn from(error: DbErr) -> Self {
        Self::retry(error)
    }
}
