//! One running notification service with its own database, broker and mail folder.

use std::time::Duration;

use contracts::Event;
use contracts::notification::v1::notification_service_client::NotificationServiceClient;
use contracts::notification::v1::{
    ListNotificationsRequest, ListNotificationsResponse, Notification, NotificationState,
};
use contracts::user::v1::UserCreated;
use event::{Envelope, TraceContext};
use messaging::EngineConfig;
use messaging::transport::Confirmation;
use notification_service::config::{Delivery, MailConfig, NotificationConfig};
use notification_service::{App, Config, DEFINITION};
use runtime::sealed::MasterKey;
use sea_orm::{ConnectionTrait as _, Statement, TryGetable};
use service::{Common, Host};
use store::DatabaseConfig;
use tempfile::TempDir;
use testkit::{
    Broker, BrokerKind, Database, Running, StoreKind, Tokens, authorized, eventually, eventually_is,
};
use tonic::transport::Channel;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::mails::Folder;
use crate::telemetry;

pub(crate) const QUEUE: &str = "notifications_queue";
pub(crate) const FROM: &str = "Angarium <noreply@angarium.test>";
pub(crate) const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub(crate) struct World {
    // First, so that tasks end before the resources that they use.
    running: Running,
    pub(crate) db: store::Database,
    pub(crate) tokens: Tokens,
    broker: Broker,
    pub(crate) database: Database,
    folder: TempDir,
}

impl World {
    pub(crate) async fn new(store: StoreKind) -> Self {
        Self::sending(store, |folder| {
            Delivery::Folder(folder.path().join("mails"))
        })
        .await
    }

    pub(crate) async fn sending(
        store: StoreKind,
        delivery: impl FnOnce(&TempDir) -> Delivery,
    ) -> Self {
        let database = Database::create(store).await;
        let config = database.config();
        Self::on(database, config, delivery).await
    }

    /// The service connects to `database` with `config`; the test connects directly.
    pub(crate) async fn on(
        database: Database,
        config: DatabaseConfig,
        delivery: impl FnOnce(&TempDir) -> Delivery,
    ) -> Self {
        telemetry::watch();
        let folder = TempDir::new().unwrap();
        let broker = Broker::create(BrokerKind::Embedded).await;
        let running = run(&broker, config, delivery(&folder)).await;
        let db = database.connect().await;
        Self {
            running,
            tokens: Tokens::accepted_by(&db).await,
            db,
            broker,
            database,
            folder,
        }
    }

    /// Stops the service in order, and starts it again with the same resources.
    pub(crate) async fn restart(self) -> Self {
        self.running.stop().await;
        let delivery = Delivery::Folder(self.folder.path().join("mails"));
        let running = run(&self.broker, self.database.config(), delivery).await;
        Self { running, ..self }
    }

    pub(crate) fn mails(&self) -> Folder {
        Folder::new(self.folder.path().join("mails"))
    }

    /// Publishes `event` as version 1 of its aggregate, and returns its id.
    pub(crate) async fn publish<E: Event>(&self, event: &E) -> Uuid {
        let id = Uuid::now_v7();
        self.publish_as(id, event).await;
        id
    }

    pub(crate) async fn publish_as<E: Event>(&self, id: Uuid, event: &E) {
        self.publish_version(id, 1, event).await;
    }

    pub(crate) async fn publish_version<E: Event>(&self, id: Uuid, version: i64, event: &E) {
        let envelope = Envelope {
            id,
            correlation_id: correlation_id(id),
            trace: TraceContext::accept(Some(TRACEPARENT), None, None),
            ..testkit::envelope::<E>(event.aggregate_id(), version)
        };
        let message = testkit::message_in(&envelope, event);
        assert_eq!(self.broker.publish(&message).await, Confirmation::Routed);
    }

    /// Waits until every published event is handled, held or dead.
    pub(crate) async fn settled(&self) {
        eventually_is("the queue is empty", 0, async || {
            self.broker.messages(QUEUE).await
        })
        .await;
    }

    pub(crate) fn client(&self) -> NotificationServiceClient<Channel> {
        NotificationServiceClient::new(self.running.channel())
    }

    /// As an admin, who sees everything.
    pub(crate) async fn list(
        &self,
        request: ListNotificationsRequest,
    ) -> Result<ListNotificationsResponse, Status> {
        let request = authorized(&self.tokens.admin(), request);
        Ok(self
            .client()
            .list_notifications(request)
            .await?
            .into_inner())
    }

    /// `message` in a call of this user.
    pub(crate) fn by<T>(&self, user_id: &str, message: T) -> Request<T> {
        let token = self.tokens.user(user_id.parse().unwrap());
        authorized(&token, message)
    }

    /// All notifications of a user, or of all users if none is named.
    pub(crate) async fn of_user(&self, user_id: &str) -> Vec<Notification> {
        let request = ListNotificationsRequest {
            user_id: user_id.to_owned(),
            page_size: 1000,
            ..Default::default()
        };
        self.list(request).await.unwrap().notifications
    }

    /// The notification of `event_id`, after it has reached this state.
    pub(crate) async fn notification(
        &self,
        event_id: Uuid,
        state: NotificationState,
    ) -> Notification {
        let event_id = event_id.to_string();
        eventually("the notification is there", async || {
            let request = ListNotificationsRequest {
                page_size: 1000,
                ..Default::default()
            };
            let mut all = self
                .list(request)
                .await
                .map_err(|refused| format!("{refused:?}"))?
                .notifications;
            let found = all.iter().position(|one| one.event_id == event_id);
            let found = found.map(|index| all.swap_remove(index));
            found
                .filter(|one| one.state() == state)
                .ok_or_else(|| format!("{all:?}"))
        })
        .await
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.unwrap();
    }

    /// The value that `sql` selects.
    pub(crate) async fn value<T: TryGetable>(&self, sql: &str) -> T {
        value(&self.db, sql).await
    }

    /// Stops the service in order.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}

async fn run(broker: &Broker, database: DatabaseConfig, delivery: Delivery) -> Running {
    let mut engine = EngineConfig::default();
    engine.consumer.retry.first_delay = Duration::from_millis(20);
    let reached = broker.of_services([&DEFINITION.participant().topology()]);
    let common = Common::new(testkit::any_port(), database, reached);
    let app = Host::build::<App>(Config {
        common: common.with_engine(engine),
        own: NotificationConfig {
            mail: MailConfig {
                from: FROM.parse().unwrap(),
                delivery,
                timeout: Duration::from_secs(30),
            },
            mail_sealing_key: sealing_key(),
        },
    });
    let app = app.await.unwrap();
    Running::start(app.grpc_addr(), |shutdown| app.run(shutdown)).await
}

pub(crate) async fn value<T: TryGetable>(db: &store::Database, sql: &str) -> T {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.unwrap();
    row.expect("a row").try_get_by_index(0).unwrap()
}

/// The key that this service shares with the user service.
pub(crate) fn sealing_key() -> MasterKey {
    MasterKey::well_known("MAIL_SEALING_KEY")
}

pub(crate) fn correlation_id(event_id: Uuid) -> String {
    format!("because-of-{event_id}")
}

pub(crate) fn registered(email: &str, display_name: &str) -> UserCreated {
    UserCreated {
        user_id: Uuid::now_v7().to_string(),
        email: email.to_owned(),
        display_name: display_name.to_owned(),
        create_time: None,
    }
}
