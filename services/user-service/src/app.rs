//! The composition root: the one place where contracts, messaging and runtime meet.
//!
//! [`App::build`] does all that can fail and takes the port; [`App::run`] returns when drained.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use contracts::user::v1::user_service_server::UserServiceServer;
use messaging::{Engine, Participant, Store};
use runtime::auth::{Guard, Verifier};
use runtime::sealed::MailCodes;
use runtime::{
    Clock, ExitWith, GrpcServer, PageTokens, Service, Serving, Shutdown, SystemClock, idempotency,
};
use store::DatabaseConfig;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

use crate::commands::Commands;
use crate::config::Config;
use crate::hasher::{Hasher, Limits};
use crate::keys::Keys;
use crate::migrations::Migrator;
use crate::requests::Requests;
use crate::throttle::Throttle;
use crate::{NAME, access, clean_up, events, grpc};

/// The full name of the gRPC service, as health and reflection have it.
const GRPC_SERVICE: &str = "angarium.user.v1.UserService";

/// What this service publishes and reacts to.
pub fn participant() -> Participant {
    Participant {
        service: NAME,
        exchanges: &["user_events"],
        subscriptions: Some(events::subscriptions()),
    }
}

/// The user service, ready to run.
pub struct App {
    server: GrpcServer,
    routes: Routes,
    store: Store,
    engine: Engine,
    keys: Arc<Keys>,
    throttle: Throttle,
}

impl App {
    /// Connects, migrates, declares and binds.
    ///
    /// # Errors
    /// Where the database cannot be reached or migrated, the broker lacks what this service may not declare, or the port is
    /// taken. A broker that is away is not an error: users are registered, and their events go out when it is back.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let store = Store::connect(&config.database, NAME).await?;
        store::ready_schema::<Migrator>(store.connection(), &config.database).await?;

        let engine = Engine::new(&store, &config.broker, participant(), config.engine);
        engine.declare().await.map_err(ExitWith::misconfigured)?;

        let (secret_key, identity) = (&config.secret_key, config.identity);
        secret_key.warn_if_well_known();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let rotation = identity.key_rotation;
        let keys = Keys::open(store.clone(), secret_key, rotation, Arc::clone(&clock))
            .await
            .context("the signing keys cannot be used")?;
        let keys = Arc::new(keys);
        let throttle = Throttle::new(store.clone(), secret_key, Arc::clone(&clock));
        let commands = Commands {
            store: store.clone(),
            hasher: Hasher::new(Limits::of_this_machine()),
            clock,
            keys: Arc::clone(&keys),
            throttle: throttle.clone(),
            mail_codes: MailCodes::new(&config.mail_sealing_key),
            admins: Arc::new(identity.admins),
        };
        let requests = Requests::new(identity.address_source, secret_key);
        let page_tokens = PageTokens::open(store.connection()).await?;
        let service = UserServiceServer::new(grpc::Users::new(commands, requests, page_tokens))
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
            keys,
            throttle,
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
        let verifier = Verifier::of_issuer(database.clone(), Arc::new(SystemClock));
        let service = Service {
            name: GRPC_SERVICE,
            routes: self.routes,
            guard: Guard::new(access::RULES, verifier),
            descriptor_set: contracts::FILE_DESCRIPTOR_SET,
            database,
            doubt: self.store.doubt(),
        };
        let mut serving = Serving::start(self.server, service, &shutdown);
        serving.tell_of("broker", self.engine.connected());
        let stop = &shutdown.soft;
        serving.beside("keys", self.keys.run(stop.clone()));
        let answers = idempotency::clean(self.store.connection().clone(), stop.clone());
        serving.beside("answers", answers);
        let clean_up = clean_up::run(self.store, self.throttle, SystemClock, stop.clone());
        serving.beside("clean-up", clean_up);
        serving
            .finish_with("messaging", |stop, committed| {
                self.engine.run(stop, committed)
            })
            .await
    }
}
