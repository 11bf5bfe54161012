//! The user service of one test: its settings, and who receives its events.

use std::ops::Deref;
use std::time::Duration;

use contracts::user::v1::{
    EmailVerificationRequested, PasswordResetRequested, SessionStartedAtNewPlace, UserCreated,
};
use event::Message;
use messaging::Subscriptions;
use runtime::config::GrpcConfig;
use runtime::sealed::MasterKey;
use store::DatabaseConfig;
use testbench::{Prepared, TestService, ignore, no_broker};
use testkit::{Broker, BrokerKind, Database, Stack, StoreKind};
use user_service::App;
use user_service::config::{IdentityConfig, UserConfig};

use crate::samples::ADMIN;

pub(crate) struct Fixture(TestService<App>);

impl Deref for Fixture {
    type Target = TestService<App>;

    fn deref(&self) -> &TestService<App> {
        &self.0
    }
}

impl Fixture {
    pub(crate) async fn new(store: StoreKind) -> Self {
        Self::start(prepared(store, BrokerKind::Embedded).await).await
    }

    pub(crate) async fn on_stack(stack: Stack) -> Self {
        Self::start(prepared(stack.store(), stack.broker()).await).await
    }

    /// As [`restart`](Self::restart), with an unreachable broker. No event may wait to be published.
    pub(crate) async fn restart_with_overdue_events(self) -> Self {
        let mut prepared = self.0.stop().await;
        prepared.config.common.broker = no_broker();
        prepared.config.common.engine.outbox_budget = Duration::ZERO;
        Self::start(prepared).await
    }

    /// The service connects to `database` with `config`; the test connects directly.
    pub(crate) async fn on(database: Database, config: DatabaseConfig) -> Self {
        let mut prepared = prepared_on(database, BrokerKind::Embedded).await;
        prepared.config.common.database = config;
        Self::start(prepared).await
    }

    /// With this server configuration.
    pub(crate) async fn with_grpc(grpc: GrpcConfig) -> Self {
        let mut prepared = prepared(StoreKind::Sqlite, BrokerKind::Embedded).await;
        prepared.config.common.grpc = grpc;
        Self::start(prepared).await
    }

    async fn start(prepared: Prepared<App>) -> Self {
        Self(TestService::start(prepared).await)
    }

    /// Stops the service, and starts it again on the same database.
    pub(crate) async fn restart(self) -> Self {
        Self(self.0.restart().await)
    }

    /// As [`restart`](Self::restart), with these admins.
    pub(crate) async fn restart_with_admins(self, admins: &[&str]) -> Self {
        let mut prepared = self.0.stop().await;
        let admins = admins.iter().map(ToString::to_string).collect();
        prepared.config.own.identity.admins = admins;
        Self::start(prepared).await
    }

    /// Stops the service in order.
    pub(crate) async fn stop(self) {
        self.0.stop().await;
    }

    /// The next published event of a new user.
    pub(crate) async fn receive(&self) -> Message {
        self.subscriber(&new_users()).await.receive().await
    }
}

async fn prepared(store: StoreKind, broker: BrokerKind) -> Prepared<App> {
    prepared_on(Database::create(store).await, broker).await
}

async fn prepared_on(database: Database, broker: BrokerKind) -> Prepared<App> {
    let own = UserConfig {
        secret_key: MasterKey::well_known("SECRET_KEY"),
        mail_sealing_key: MasterKey::well_known("MAIL_SEALING_KEY"),
        identity: IdentityConfig {
            admins: [ADMIN.to_lowercase()].into(),
            ..IdentityConfig::default()
        },
    };
    let prepared = Prepared::on(database, Broker::create(broker).await, own);
    prepared.declare(&new_users()).await;
    prepared.declare(&everything_else()).await;
    prepared
}

fn new_users() -> Subscriptions {
    Subscriptions::new("subscriber").on::<UserCreated>(ignore)
}

/// Like the other services together: no event is unroutable.
fn everything_else() -> Subscriptions {
    Subscriptions::new("mails")
        .in_order::<UserCreated>(ignore)
        .on::<EmailVerificationRequested>(ignore)
        .on::<PasswordResetRequested>(ignore)
        .on::<SessionStartedAtNewPlace>(ignore)
}
