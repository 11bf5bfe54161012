//! What a service is given, and what it gives back: its routes and its workers.

use std::sync::Arc;

use contracts::GrpcServer;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use messaging::Store;
use runtime::config::GrpcConfig;
use runtime::{Clock, PageTokens};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::CommandStore;

/// What a service is built on.
pub struct Base {
    /// Its database. The schema is ready.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For its lists.
    pub page_tokens: PageTokens,
    pub(crate) grpc: GrpcConfig,
}

impl Base {
    /// Its database, for commands.
    pub fn commands(&self) -> CommandStore {
        CommandStore::new(self.store.clone())
    }

    /// The routes of `server`, with the limits of the configuration and gzip in both directions.
    pub fn serve<S: GrpcServer>(&self, server: S) -> Parts {
        let limits = (self.grpc.max_request_bytes, self.grpc.max_response_bytes);
        Parts {
            routes: server.add_to(Routes::default(), limits),
            workers: Vec::new(),
        }
    }
}

/// What a service is made of.
#[derive(Default)]
pub struct Parts {
    pub(crate) routes: Routes,
    pub(crate) workers: Vec<Worker>,
}

/// What runs beside the server.
pub(crate) struct Worker {
    pub(crate) name: &'static str,
    pub(crate) start: Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>,
}

impl Parts {
    /// With what every service serves.
    pub(crate) fn and(mut self, server: impl GrpcServer, grpc: &GrpcConfig) -> Self {
        let limits = (grpc.max_request_bytes, grpc.max_response_bytes);
        self.routes = server.add_to(self.routes, limits);
        self
    }

    /// With a worker beside the server. It commits as calls do, and ends soon after its token is cancelled; one that ends before is
    /// a failure of the process.
    #[must_use]
    pub fn beside<F>(
        mut self,
        name: &'static str,
        run: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.workers.push(Worker {
            name,
            start: Box::new(move |stop| run(stop).boxed()),
        });
        self
    }
}
