//! What the host and a service give each other: routes and workers.

use std::sync::Arc;

use contracts::GrpcServer;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use messaging::Store;
use messaging::repair::{Stored, TakeBack};
use runtime::config::GrpcConfig;
use runtime::{Clock, PageTokens};
use sea_orm::DbErr;
use store::Database;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::CommandStore;

/// What the host gives to a service.
pub struct Base {
    /// Its database, with the schema up to date.
    pub store: Store,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Tokens for paged lists.
    pub page_tokens: PageTokens,
    pub(crate) grpc: GrpcConfig,
}

impl Base {
    /// Its database, for commands.
    pub fn commands(&self) -> CommandStore {
        CommandStore::new(self.store.clone())
    }

    /// The routes of `server`, with the configured limits and gzip in both directions.
    pub fn serve<S: GrpcServer>(&self, server: S) -> Parts {
        let limits = (self.grpc.max_request_bytes, self.grpc.max_response_bytes);
        Parts {
            routes: server.add_to(Routes::default(), limits),
            workers: Vec::new(),
            state: None,
            take_back: None,
        }
    }
}

/// The aggregates to state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfState<'a> {
    /// The one with this id.
    One(&'a str),
    /// Those after this id, in the order of their ids, without a kept last event.
    After(&'a str),
}

/// Reads the current state of a service's aggregates, at most this many. [`Stored::of_state`] makes the events.
pub type ListState =
    for<'a> fn(&'a Database, OfState<'a>, u16) -> BoxFuture<'a, Result<Vec<Stored>, DbErr>>;

/// The routes and workers of a service, and what operators need of its own tables.
#[derive(Default)]
pub struct Parts {
    pub(crate) routes: Routes,
    pub(crate) workers: Vec<Worker>,
    pub(crate) state: Option<ListState>,
    pub(crate) take_back: Option<TakeBack>,
}

pub(crate) struct Worker {
    pub(crate) name: &'static str,
    /// It is not dropped soon after the stop.
    pub(crate) finishes: bool,
    pub(crate) start: Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>,
}

impl Parts {
    pub(crate) fn and(mut self, server: impl GrpcServer, grpc: &GrpcConfig) -> Self {
        let limits = (grpc.max_request_bytes, grpc.max_response_bytes);
        self.routes = server.add_to(self.routes, limits);
        self
    }

    /// For a service with aggregates that others keep a view of: operators give their state to a new consumer.
    #[must_use]
    pub fn stating(mut self, state: ListState) -> Self {
        self.state = Some(state);
        self
    }

    /// For a service with views that compare versions: an operator takes them back after a restore of the producer.
    #[must_use]
    pub fn taking_back(mut self, take_back: TakeBack) -> Self {
        self.take_back = Some(take_back);
        self
    }

    /// Adds a worker beside the server. It commits as calls do, and is dropped soon after its token is cancelled, so
    /// another process must be able to repeat its work. A worker that ends earlier fails the process.
    #[must_use]
    pub fn beside<F>(
        self,
        name: &'static str,
        run: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.with(name, false, run)
    }

    /// As [`beside`](Self::beside), but it finishes what it has begun.
    #[must_use]
    pub fn beside_to_its_end<F>(
        self,
        name: &'static str,
        run: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.with(name, true, run)
    }

    fn with<F>(
        mut self,
        name: &'static str,
        finishes: bool,
        run: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.workers.push(Worker {
            name,
            finishes,
            start: Box::new(move |stop| run(stop).boxed()),
        });
        self
    }
}
