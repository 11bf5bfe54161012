//! Builds, serves and drains a service.
//!
//! [`Host::build`] does everything that can fail, and binds the port. [`Host::run`] ends calls and workers first, and
//! then publishes their events.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use messaging::repair::{History, Repair};
use messaging::{Engine, Store};
use runtime::auth::{self, Guard, Verifier};
use runtime::{ExitWith, GrpcServer, PageTokens, Serving, Shutdown, SystemClock, idempotency};

use crate::ops::{self, Ops};
use crate::parts::{Base, Parts};
use crate::{Config, Definition, Keys, OwnArgs, Service, erasure, keys};

/// A service that is ready to run.
pub struct Host {
    definition: Definition,
    server: GrpcServer,
    parts: Parts,
    store: Store,
    engine: Engine,
}

impl Host {
    /// Connects, migrates, declares and binds.
    ///
    /// # Errors
    /// If the database cannot be reached or migrated, the broker lacks something that the service may not declare, the
    /// port is taken, or a part of the service fails. Without the broker, events wait in the outbox.
    pub async fn build<S: Service>(
        config: Config<<S::Args as OwnArgs>::Config>,
    ) -> anyhow::Result<Self> {
        let Config { common, own } = config;
        let definition = S::DEFINITION;
        let store = Store::connect(&common.database, definition.name).await?;
        (definition.schema.ready)(store.connection(), &common.database).await?;

        let subscriptions = (definition.subscriptions)();
        let retention = &common.engine.retention;
        let repair = Repair::new(store.clone(), &subscriptions, retention.inbox);
        let history = History::new(store.clone(), definition.name, retention.outbox);
        let participant = definition.participant();
        let engine = Engine::new(&store, &common.broker, participant, common.engine);
        engine.declare().await.map_err(ExitWith::misconfigured)?;

        let base = Base {
            page_tokens: PageTokens::open(store.connection()).await?,
            store,
            clock: Arc::new(SystemClock),
            grpc: common.grpc,
        };
        let parts = S::parts(own, &base).await?;
        let ops = Ops {
            history,
            repair,
            database: base.store.connection().clone(),
            state: parts.state,
            take_back: parts.take_back,
        };
        let parts = parts.and(ops.server(), &base.grpc);
        let server = GrpcServer::bind(&base.grpc)
            .await
            .context("the gRPC server cannot start")?;
        Ok(Self {
            definition,
            server,
            parts,
            store: base.store,
            engine,
        })
    }

    /// The address of the gRPC server.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Serves until `shutdown`; returns after draining.
    ///
    /// # Errors
    /// If a part ended unexpectedly or had to be cut off.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let Self {
            definition,
            server,
            parts,
            store,
            engine,
        } = self;
        tracing::info!(service = definition.name, addr = %server.addr(), "listening");
        let database = store.connection().clone();
        let clock = Arc::new(SystemClock);
        let verifier = match definition.keys {
            Keys::Issued => Verifier::of_issuer(database.clone(), clock),
            Keys::Announced => Verifier::new(database.clone(), clock),
        };
        let service = runtime::Service {
            name: definition.grpc_service,
            routes: parts.routes,
            guard: Guard::new(definition.rules, verifier).with(ops::RULES),
            descriptor_set: definition.descriptor_set,
            database: database.clone(),
            doubt: store.doubt(),
        };
        let stop = &shutdown.soft;
        let mut serving = Serving::start(server, service, &shutdown);
        serving.report("broker", engine.connected());
        serving.report("consumer", store.consuming());
        if let Some(complete) = engine.complete() {
            serving.report("complete", complete);
        }
        let late = erasure::erase_late(store.clone(), stop.clone());
        serving.beside("erasure", late);
        if definition.keys == Keys::Announced {
            let asking = messaging::ask_until_answered(
                store,
                engine.connected(),
                auth::missing_in_ms(),
                move || keys::request(definition.name),
                stop.clone(),
            );
            serving.beside("keys", asking);
        }
        serving.beside("answers", idempotency::clean(database, stop.clone()));
        for worker in parts.workers {
            let running = (worker.start)(stop.clone());
            if worker.finishes {
                serving.beside_to_its_end(worker.name, running);
            } else {
                serving.beside(worker.name, running);
            }
        }
        serving
            .finish_with("messaging", |stop, committed| engine.run(stop, committed))
            .await
    }
}
