//! The composition root: the one place where contracts, messaging and runtime meet.
//!
//! [`App::build`] does all that can fail and takes the port; [`App::run`] returns when drained.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use contracts::order::v1::order_service_server::OrderServiceServer;
use messaging::{Engine, Participant, Store};
use runtime::auth::{self, Guard, Verifier};
use runtime::{
    ExitWith, GrpcServer, PageTokens, Service, Serving, Shutdown, SystemClock, idempotency,
};
use store::DatabaseConfig;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

use crate::commands::Commands;
use crate::config::Config;
use crate::migrations::Migrator;
use crate::settling::Settling;
use crate::watch::Watchers;
use crate::{NAME, access, events, grpc};

/// The full name of the gRPC service, as health and reflection have it.
const GRPC_SERVICE: &str = "angarium.order.v1.OrderService";

/// What this service publishes and reacts to.
pub fn participant() -> Participant {
    Participant {
        service: NAME,
        exchanges: &["order_events", "key_events"],
        subscriptions: Some(events::subscriptions()),
    }
}

/// The order service, ready to run.
pub struct App {
    server: GrpcServer,
    routes: Routes,
    store: Store,
    engine: Engine,
    watchers: Watchers,
}

impl App {
    /// Connects, migrates, declares and binds.
    ///
    /// # Errors
    /// Where the database cannot be reached or migrated, the broker lacks what this service may not declare, or the port is
    /// taken. A broker that is away is not an error: orders are taken, and their events go out when it is back.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let store = Store::connect(&config.database, NAME).await?;
        store::ready_schema::<Migrator>(store.connection(), &config.database).await?;

        let engine = Engine::new(&store, &config.broker, participant(), config.engine);
        engine.declare().await.map_err(ExitWith::misconfigured)?;

        let orders = config.orders;
        let watchers = Watchers::new(
            store.clone(),
            orders.max_watchers,
            orders.max_watchers_per_caller,
        );
        let commands = Commands::new(
            store.clone(),
            Arc::new(SystemClock),
            orders.confirmation_time,
        );
        let tokens = PageTokens::open(store.connection()).await?;
        let orders = grpc::Orders::new(store.clone(), commands, watchers.clone(), tokens);
        let service = OrderServiceServer::new(orders)
            .max_decoding_message_size(config.grpc.max_request_bytes)
            .max_encoding_message_size(config.grpc.max_response_bytes)
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip);
        let server = GrpcServer::bind(&config.grpc)
            .await
            .context("the gRPC server cannot start")?;
        Ok(Self {
            server,
            routes: Routes::new(service),
            store,
            engine,
            watchers,
        })
    }

    /// Applies the migrations that are missing, and reports them.
    ///
    /// # Errors
    /// Where the database cannot be reached or migrated.
    pub async fn migrate(database: &DatabaseConfig) -> anyhow::Result<()> {
        let applied = store::migrate_at::<Migrator>(database, NAME).await?;
        runtime::run::report_migrations(NAME, &applied)
    }

    /// Where calls are taken.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Serves until `shutdown`, and returns when everything in flight is done.
    ///
    /// # Errors
    /// Where a part ended that should not, or had to be cut off.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let database = self.store.connection().clone();
        let verifier = Verifier::new(database.clone(), Arc::new(SystemClock));
        let service = Service {
            name: GRPC_SERVICE,
            routes: self.routes,
            guard: Guard::new(access::RULES, verifier),
            descriptor_set: contracts::FILE_DESCRIPTOR_SET,
            database,
            doubt: self.store.doubt(),
        };
        let answers = idempotency::clean(self.store.connection().clone(), shutdown.soft.clone());
        let settling = Settling::new(self.store.clone());
        let mut serving = Serving::start(self.server, service, &shutdown);
        serving.tell_of("broker", self.engine.connected());
        let asking = messaging::ask_until_answered(
            self.store.clone(),
            self.engine.connected(),
            auth::missing_in_ms(),
            events::key_request,
            shutdown.soft.clone(),
        );
        serving.beside("keys", asking);
        serving.beside("watchers", self.watchers.run(shutdown.soft.clone()));
        serving.beside("answers", answers);
        serving.beside("settling", settling.run(shutdown.soft));
        serving
            .finish_with("messaging", |stop, committed| {
                self.engine.run(stop, committed)
            })
            .await
    }
}
