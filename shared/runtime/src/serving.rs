//! A service at work: its gRPC server, its health, and what it does beside them, ended in the order in which they depend on
//! one another.
//!
//! On the way down calls and workers end first, each finishing what it is at. What goes on with their results, the publishing
//! of what they have committed, is told once the last of them is done, and ends after it.

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

/// What a service's server answers to.
pub struct Service {
    /// The full name of the gRPC service, for health and reflection.
    pub name: &'static str,
    /// What serves it.
    pub routes: Routes,
    /// Whom it serves.
    pub guard: Guard,
    /// The contracts, for reflection.
    pub descriptor_set: &'static [u8],
    /// Its own database: while that is away or takes no writes, it does not serve.
    pub database: Database,
    /// Raised whenever a statement on that database fails.
    pub doubt: Doubt,
}

/// The parts of a running service.
pub struct Serving {
    tasks: Tasks,
    shutdown: Shutdown,
    name: &'static str,
    health: Health,
    committed: CancellationToken,
    /// Held by everything that commits; the last one to let go cancels `committed`.
    committing: Arc<DropGuard>,
}

impl Serving {
    /// Begins to serve on `server`, until `shutdown`.
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

    /// Gives a part that the service works without a health name of its own: `angarium.order.v1.OrderService/broker`, for
    /// `broker`. It says whether the part is `there`, and changes nothing else.
    pub fn tell_of(&mut self, part: &str, mut there: watch::Receiver<bool>) {
        let name = format!("{}/{part}", self.name);
        let (health, stop) = (self.health.clone(), self.shutdown.soft.clone());
        health.set(&name, *there.borrow_and_update());
        self.tasks.spawn(&format!("health of {part}"), async move {
            let telling = async {
                while there.changed().await.is_ok() {
                    health.set(&name, *there.borrow_and_update());
                }
                // Nobody knows any more.
                health.set(&name, false);
                std::future::pending::<()>().await;
            };
            stop.run_until_cancelled(telling).await;
            Ok(())
        });
    }

    /// Runs a worker that commits as calls do. It ends soon after `Shutdown::soft`, or is dropped then: a statement may hang.
    /// So it is for work that another process repeats.
    pub fn beside<F>(&mut self, name: &str, worker: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.shutdown.soft.clone();
        self.beside_to_its_end(name, async move {
            store::end_soon(&stop, worker).await;
        });
    }

    /// As [`beside`](Self::beside), for a worker that finishes what it has begun, in its own time.
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

    /// Runs what goes on with the results, and returns when everything has ended. `last` is given the signal to stop, and the
    /// one that nothing is committed any more.
    ///
    /// # Errors
    /// Where a part ended that should not, or had to be cut off.
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
