//! A running service: its gRPC server, health and workers, shut down in the order of their dependencies.
//!
//! First calls and workers finish their work. The part that processes their results (the publishing of committed
//! events) ends last.

use std::future::Future;
use std::sync::Arc;

use store::Database;
use store::Doubt;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::Routes;

use store::Writable;

use crate::auth::Guard;
use crate::grpc::GrpcServer;
use crate::health::Health;
use crate::lifecycle::{Shutdown, Tasks};

/// The parts of a service's server.
pub struct Service {
    /// The full name of the gRPC service, for health and reflection.
    pub name: &'static str,
    /// Its routes.
    pub routes: Routes,
    /// Its access check.
    pub guard: Guard,
    /// The descriptor set, for reflection.
    pub descriptor_set: &'static [u8],
    /// Its own database: without it, or without writes, the service does not serve.
    pub database: Database,
    /// Raised by every failed statement of that database.
    pub doubt: Doubt,
}

/// The parts of a running service.
pub struct Serving {
    tasks: Tasks,
    shutdown: Shutdown,
    name: &'static str,
    health: Health,
    committed: CancellationToken,
    /// Held by everything that commits; the last drop cancels `committed`.
    committing: Arc<DropGuard>,
}

impl Serving {
    /// Starts serving on `server`, until `shutdown`.
    pub fn start(server: GrpcServer, service: Service, shutdown: &Shutdown) -> Self {
        let committed = CancellationToken::new();
        let health = Health::new(&[service.name]);
        let mut serving = Self {
            tasks: Tasks::new(shutdown),
            shutdown: shutdown.clone(),
            name: service.name,
            health: health.clone(),
            committing: Arc::new(committed.clone().drop_guard()),
            committed,
        };
        let Service {
            name: _,
            routes,
            guard,
            descriptor_set,
            database,
            doubt,
        } = service;
        let database = Arc::new(Writable::new(database, doubt));
        let answers = move || {
            let database = Arc::clone(&database);
            async move { database.check().await }
        };
        serving
            .tasks
            .spawn("health", health.clone().watch(answers, shutdown.clone()));
        let (held, shutdown) = (Arc::clone(&serving.committing), shutdown.clone());
        serving.tasks.spawn("grpc", async move {
            let _held = held;
            server
                .serve(routes, guard, health, descriptor_set, shutdown)
                .await?;
            Ok(())
        });
        serving
    }

    /// Adds a health name for an optional part: `angarium.order.v1.OrderService/broker` for `broker`. It shows whether
    /// the part is `there`, and changes nothing else.
    pub fn report(&mut self, part: &str, mut there: watch::Receiver<bool>) {
        let name = format!("{}/{part}", self.name);
        let (health, stop) = (self.health.clone(), self.shutdown.soft.clone());
        health.set(&name, *there.borrow_and_update());
        self.tasks.spawn(&format!("health of {part}"), async move {
            let reporting = async {
                while there.changed().await.is_ok() {
                    health.set(&name, *there.borrow_and_update());
                }
                // Without the sender, the state is unknown.
                health.set(&name, false);
                std::future::pending::<()>().await;
            };
            stop.run_until_cancelled(reporting).await;
            Ok(())
        });
    }

    /// Runs a worker that commits as calls do. It ends soon after `Shutdown::soft`, or is dropped, because a statement
    /// may hang: another process must be able to repeat its work.
    pub fn beside<F>(&mut self, name: &str, worker: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.shutdown.soft.clone();
        self.beside_to_its_end(name, async move {
            store::end_soon(&stop, worker).await;
        });
    }

    /// As [`beside`](Self::beside), for a worker that finishes what it has begun.
    pub fn beside_to_its_end<F>(&mut self, name: &str, worker: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let held = Arc::clone(&self.committing);
        self.tasks.spawn(name, async move {
            let _held = held;
            worker.await;
            Ok(())
        });
    }

    /// Runs the part that processes the results, and returns after everything has ended. `last` gets the stop signal,
    /// and the signal that nothing is committed any more.
    ///
    /// # Errors
    /// If a part ended unexpectedly or had to be cut off.
    pub async fn finish_with<F>(
        self,
        name: &str,
        last: impl FnOnce(CancellationToken, CancellationToken) -> F,
    ) -> anyhow::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self {
            mut tasks,
            shutdown,
            committed,
            committing,
            ..
        } = self;
        let last = last(shutdown.soft.clone(), committed);
        tasks.spawn(name, async move {
            last.await;
            Ok(())
        });
        drop(committing);
        tasks.join().await
    }
}
