//! Batch handlers: the waiting events of one type in one call.
//!
//! Guarantee: all of them are done in one transaction with their inbox rows, or none is. If the call fails, each is
//! handled in its own call, so that one bad event does not affect its neighbours.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tracing::Span;

use super::{Delivered, HandlerError};
use crate::transaction::Transaction;

/// One event of a batch, with its metadata.
#[derive(Debug)]
pub struct Received<'a, E> {
    /// The event.
    pub event: E,
    /// The metadata.
    pub delivered: &'a Delivered,
    pub(super) span: Span,
}

impl<E> Received<'_, E> {
    /// Runs `f` inside the event's span. Enqueue and log there, so that the result stays in the event's trace.
    pub fn in_scope<T>(&self, f: impl FnOnce() -> T) -> T {
        self.span.in_scope(f)
    }
}

/// An `async fn(&Transaction, Vec<Received<'_, E>>) -> Result<(), HandlerError>`: implemented for all such functions.
///
/// There is at least one event. The grouping is arbitrary: handle each event as if it came alone.
pub trait HandleBatch<E>: Send + Sync + 'static {
    /// Calls the function.
    fn handle<'a>(
        &self,
        transaction: &'a Transaction,
        events: Vec<Received<'a, E>>,
    ) -> BoxFuture<'a, Result<(), HandlerError>>;
}

impl<E, F> HandleBatch<E> for F
where
    F: for<'a> CallBatch<'a, E> + Send + Sync + 'static,
{
    fn handle<'a>(
        &self,
        transaction: &'a Transaction,
        events: Vec<Received<'a, E>>,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        self.call(transaction, events).boxed()
    }
}

/// Names the future of an `async fn` for one lifetime, which `Fn` alone cannot.
pub trait CallBatch<'a, E> {
    /// The future.
    type Future: Future<Output = Result<(), HandlerError>> + Send + 'a;

    /// Calls the function.
    fn call(&self, transaction: &'a Transaction, events: Vec<Received<'a, E>>) -> Self::Future;
}

impl<'a, E, F, R> CallBatch<'a, E> for F
where
    F: Fn(&'a Transaction, Vec<Received<'a, E>>) -> R,
    R: Future<Output = Result<(), HandlerError>> + Send + 'a,
{
    type Future = R;

    fn call(&self, transaction: &'a Transaction, events: Vec<Received<'a, E>>) -> R {
        self(transaction, events)
    }
}
