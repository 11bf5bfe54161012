//! The notification service of one test: its settings and its mail folder.

use std::ops::Deref;
use std::time::Duration;

use notification_service::App;
use notification_service::config::{Delivery, MailConfig, NotificationConfig};
use runtime::sealed::MasterKey;
use store::DatabaseConfig;
use tempfile::TempDir;
use testbench::{Prepared, TestService};
use testkit::{Broker, BrokerKind, Database, Stack, StoreKind};

use crate::mails::Folder;
use crate::telemetry;

pub(crate) const FROM: &str = "Angarium <noreply@angarium.test>";

pub(crate) struct Fixture {
    // First, so that the service ends before its folder is removed.
    service: TestService<App>,
    folder: TempDir,
}

impl Deref for Fixture {
    type Target = TestService<App>;

    fn deref(&self) -> &TestService<App> {
        &self.service
    }
}

impl Fixture {
    pub(crate) async fn new(store: StoreKind) -> Self {
        Self::sending(store, mails_in).await
    }

    pub(crate) async fn on_stack(stack: Stack) -> Self {
        let database = Database::create(stack.store()).await;
        let config = database.config();
        Self::start(database, config, stack.broker(), mails_in).await
    }

    pub(crate) async fn sending(
        store: StoreKind,
        delivery: impl FnOnce(&TempDir) -> Delivery,
    ) -> Self {
        let database = Database::create(store).await;
        let config = database.config();
        Self::start(database, config, BrokerKind::Embedded, delivery).await
    }

    /// The service connects to `database` with `config`; the test connects directly.
    pub(crate) async fn on(database: Database, config: DatabaseConfig) -> Self {
        Self::start(database, config, BrokerKind::Embedded, mails_in).await
    }

    async fn start(
        database: Database,
        config: DatabaseConfig,
        broker: BrokerKind,
        delivery: impl FnOnce(&TempDir) -> Delivery,
    ) -> Self {
        telemetry::watch();
        let folder = TempDir::new().unwrap();
        let own = NotificationConfig {
            mail: MailConfig {
                from: FROM.parse().unwrap(),
                delivery: delivery(&folder),
                timeout: Duration::from_secs(30),
            },
            mail_sealing_key: sealing_key(),
        };
        let mut prepared = Prepared::on(database, Broker::create(broker).await, own);
        let common = &mut prepared.config.common;
        common.database = config;
        common.engine.consumer.retry.first_delay = Duration::from_millis(20);
        let service = TestService::start(prepared).await;
        Self { service, folder }
    }

    /// Stops the service in order, and starts it again with the same resources.
    pub(crate) async fn restart(self) -> Self {
        let service = self.service.restart().await;
        Self { service, ..self }
    }

    /// Stops the service in order.
    pub(crate) async fn stop(self) {
        self.service.stop().await;
    }

    pub(crate) fn mails(&self) -> Folder {
        Folder::new(self.folder.path().join("mails"))
    }
}

fn mails_in(folder: &TempDir) -> Delivery {
    Delivery::Folder(folder.path().join("mails"))
}

/// The key that this service shares with the user service.
pub(crate) fn sealing_key() -> MasterKey {
    MasterKey::well_known("MAIL_SEALING_KEY")
}
