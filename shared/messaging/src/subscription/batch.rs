//! What a batch handler looks like: the events of one type that have arrived together.
//!
//! Guarantee: as for a handler of one event. All of them are done in one transaction with their inbox rows, or none is; where the call
//! fails, each comes again in a call of its own, so one bad event costs its neighbours nothing.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tracing::Span;

use super::{Delivered, HandlerError};
use crate::transaction::Transaction;

/// One event of a batch, with its circumstances.
#[derive(Debug)]
pub struct Received<'a, E> {
    /// The event.
    pub event: E,
    /// What travelled beside it.
    pub delivered: &'a Delivered,
    pub(super) span: Span,
}

impl<E> Received<'_, E> {
    /// Runs `f` inside of the event's span. What a batch handler enqueues or logs for one event belongs in here, so that it stays in
    /// that event's trace.
    pub fn in_scope<T>(&self, f: impl FnOnce() -> T) -> T {
        self.span.in_scope(f)
    }
}

/// An `async fn(&Transaction, Vec<Received<'_, E>>) -> Result<(), HandlerError>`: implemented for all such functions.
///
/// At least one event is given. Which come together is chance, so each has to be handled as if it came alone.
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

/// Names the future that an `async fn` returns for one lifetime, which `Fn` alone cannot.
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
