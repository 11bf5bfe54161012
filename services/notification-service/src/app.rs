//! The composition root: the one place where contracts, messaging and runtime meet.
//!
//! [`App::build`] does all that can fail and takes the port; [`App::run`] returns when drained.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use contracts::notification::v1::notification_service_server::NotificationServiceServer;
use messaging::{Engine, Participant, Store};
use runtime::auth::{self, Guard, Verifier};
use runtime::sealed::MailCodes;
use runtime::{
    ExitWith, GrpcServer, PageTokens, Service, Serving, Shutdown, SystemClock, idempotency,
};
use store::DatabaseConfig;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

use crate::config::{Config, Delivery};
use crate::mailer::Mailer;
use crate::migrations::Migrator;
use crate::settling::Settling;
use crate::{NAME, access, events, grpc, sender};

/// The full name of the gRPC service, as health and reflection have it.
const GRPC_SERVICE: &str = "angarium.notification.v1.NotificationService";

/// What this service publishes and reacts to.
pub fn participant() -> Participant {
    Participant {
        service: NAME,
        exchanges: &["notification_events", "key_events"],
        subscriptions: Some(events::subscriptions()),
    }
}

/// The notification service, ready to run.
pub struct App {
    server: GrpcServer,
    routes: Routes,
    store: Store,
    engine: Engine,
    mailer: Mailer,
}

impl App {
    /// Connects, migrates, declares and binds.
    ///
    /// # Errors
    /// Where the database cannot be reached or migrated, the broker lacks what this service may not declare, the folder of
    /// mails cannot be made, or the port is taken. A broker or a mail server that is away is not an error: what has to go
    /// there waits until it is back.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let store = Store::connect(&config.database, NAME).await?;
        store::ready_schema::<Migrator>(store.connection(), &config.database).await?;

        let engine = Engine::new(&store, &config.broker, participant(), config.engine);
        engine.declare().await.map_err(ExitWith::misconfigured)?;

        let mail = config.mail;
        let sender = sender::open(&mail.delivery)
            .await
            .with_context(|| match &mail.delivery {
                Delivery::Folder(folder) => format!(
                    "the folder of mails {} cannot be made; choose another one with MAIL_DIR",
                    folder.display()
                ),
                Delivery::Smtp(server) => format!("mails cannot be sent through {server}"),
            })?;
        config.mail_sealing_key.warn_if_well_known();
        let codes = MailCodes::new(&config.mail_sealing_key);
        let mailer = Mailer::new(store.clone(), sender, mail.from, codes, mail.timeout);

        let tokens = PageTokens::open(store.connection()).await?;
        let notifications = grpc::Notifications::new(store.clone(), tokens);
        let service = NotificationServiceServer::new(notifications)
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
            mailer,
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
        let answers = idempotency::clean(self.store.connection().clone(), shutdown.soft.clone());
        serving.beside("answers", answers);
        let settling = Settling::new(self.store).run(shutdown.soft.clone());
        serving.beside("settling", settling);
        serving.beside("mailer", self.mailer.run(shutdown.soft));
        serving
            .finish_with("messaging", |stop, committed| {
                self.engine.run(stop, committed)
            })
            .await
    }
}
