//! The running system of one test: all services in this process, on private resources.

use std::time::Duration;

use angarium::registry::{OwnConfig, Registered, SERVICES};
use angarium::system::Addresses;
use angarium::{Command, Config, System};
use contracts::Event;
use contracts::money::Money;
use contracts::notification::v1::notification_service_client::NotificationServiceClient;
use contracts::notification::v1::{
    ListNotificationsRequest, Notification, NotificationKind, NotificationState,
};
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{Order, OrderLine, PlaceOrderRequest};
use contracts::user::v1::user_service_client::UserServiceClient;
use contracts::user::v1::{CreateUserRequest, UpdateUserRequest, User};
use event::{Envelope, Message};
use messaging::transport::{self, Confirmation};
use messaging::{ConsumerConfig, EngineConfig, Participant, RetryPolicy};
use notification_service::config::{Delivery, MailConfig};
use order_service::config::OrderConfig;
use prost_types::FieldMask;
use runtime::Shutdown;
use runtime::config::{GrpcConfig, LifecycleConfig, TelemetryConfig};
use runtime::sealed::MasterKey;
use scenarios::{Caller, Mailbox};
use sea_orm::{ConnectionTrait as _, QueryResult, Statement};
use store::{DatabaseConfig, Migrate};
use tempfile::TempDir;
use testkit::{Broker, Database, Stack, StoreKind, Tokens, any_port, authorized, eventually};
use tokio::task::JoinHandle;
use tonic::Code;
use tonic::transport::Channel;
use user_service::config::IdentityConfig;
use uuid::Uuid;

pub(crate) struct Running {
    pub(crate) users: UserServiceClient<Channel>,
    pub(crate) orders: OrderServiceClient<Channel>,
    pub(crate) notifications: NotificationServiceClient<Channel>,
    /// Every service accepts them, for any user and role.
    pub(crate) tokens: Tokens,
    addresses: Addresses,
    config: Config,
    shutdown: Shutdown,
    running: JoinHandle<Result<(), String>>,
    broker: Broker,
    _database: Option<Database>,
    folder: TempDir,
}

impl Running {
    pub(crate) async fn start(stack: Stack) -> Self {
        Self::start_with(stack, any_port()).await
    }

    /// With these settings of each server.
    pub(crate) async fn start_with(stack: Stack, grpc: GrpcConfig) -> Self {
        let folder = TempDir::new().unwrap();
        let database = match stack.store() {
            StoreKind::Postgres => Some(Database::create(StoreKind::Postgres).await),
            StoreKind::Sqlite => None,
        };
        let broker = Broker::create(stack.broker()).await;
        let handle = broker.of_services(&topologies());
        let config = Config {
            command: Command::Serve,
            data_dir: folder.path().to_owned(),
            grpc,
            database: database.as_ref().map(Database::config),
            migrate: Migrate::Auto,
            rabbitmq: match &handle {
                transport::Broker::RabbitMq(config) => Some(config.clone()),
                transport::Broker::Embedded(_) => None,
            },
            engine: EngineConfig {
                consumer: ConsumerConfig {
                    retry: impatient(),
                    ..ConsumerConfig::default()
                },
                ..EngineConfig::default()
            },
            own: OwnConfig {
                secret_key: MasterKey::well_known("SECRET_KEY"),
                mail_sealing_key: MasterKey::well_known("MAIL_SEALING_KEY"),
                identity: IdentityConfig {
                    operators: [OPERATOR.to_owned()].into(),
                    ..IdentityConfig::default()
                },
                orders: OrderConfig::default(),
                mail: MailConfig {
                    from: "Angarium <noreply@localhost>".parse().unwrap(),
                    delivery: Delivery::Folder(folder.path().join("mails")),
                    timeout: Duration::from_secs(10),
                },
            },
            telemetry: TelemetryConfig::default(),
            lifecycle: LifecycleConfig::default(),
        };
        let system = System::build_on(&config, handle).await.unwrap();
        let addresses = system.addresses();
        let channel = |name| {
            let address = addresses.of(name).unwrap();
            let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
            endpoint.connect_lazy()
        };
        let tokens = Tokens::unknown();
        for service in services() {
            tokens.make_known(&connect(&config, service).await).await;
        }
        let shutdown = Shutdown::new(Duration::from_secs(20));
        let stop = shutdown.clone();
        Self {
            users: UserServiceClient::new(channel(user_service::NAME)),
            orders: OrderServiceClient::new(channel(order_service::NAME)),
            notifications: NotificationServiceClient::new(channel(notification_service::NAME)),
            running: tokio::spawn(async move {
                system.run(stop).await.map_err(|error| format!("{error:#}"))
            }),
            tokens,
            addresses,
            config,
            shutdown,
            broker,
            _database: database,
            folder,
        }
    }

    /// A channel to the gRPC service with this full name.
    pub(crate) fn channel(&self, service: &str) -> Channel {
        let mut addresses = self.addresses.iter();
        let (_, address) = addresses
            .find(|(one, _)| one.definition.grpc_service == service)
            .unwrap_or_else(|| panic!("no service is called {service}"));
        let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
        endpoint.connect_lazy()
    }

    /// A client of the user service in a program of this name.
    pub(crate) fn users_of_program(&self, name: &'static str) -> UserServiceClient<Channel> {
        let address = self.addresses.of(user_service::NAME).unwrap();
        let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
        UserServiceClient::new(endpoint.user_agent(name).unwrap().connect_lazy())
    }

    /// A caller from outside who reads the mails.
    pub(crate) fn caller(&self) -> Caller {
        let address = |name| self.addresses.of(name).unwrap();
        let mailbox = Mailbox::Folder(self.folder.path().join("mails"));
        Caller::new(
            address(user_service::NAME),
            address(order_service::NAME),
            address(notification_service::NAME),
            mailbox,
        )
        .unwrap()
    }

    /// The address of each service, as `angarium reconcile` takes it.
    pub(crate) fn endpoints(&self) -> Vec<(String, String)> {
        let addresses = self.addresses.iter();
        let endpoint = |(one, address): (&Registered, _)| {
            (one.definition.name.to_owned(), format!("http://{address}"))
        };
        addresses.map(endpoint).collect()
    }

    /// A file in a folder that is gone with the system.
    pub(crate) fn file(&self, name: &str, content: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Stops the system, and asserts an orderly shutdown and an empty outbox.
    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        self.running.await.unwrap().unwrap();
        for service in services() {
            let db = connect(&self.config, service).await;
            let pending = query(
                &db,
                "SELECT event_type FROM angarium_outbox WHERE held_until IS NULL",
            )
            .await;
            assert!(pending.is_empty(), "{service} left {pending:?}");
        }
    }

    pub(crate) async fn register(&self, email: &str) -> String {
        let request = CreateUserRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
            display_name: "Ada Lovelace".to_owned(),
            ..CreateUserRequest::default()
        };
        let answer = self.users.clone().create_user(request).await.unwrap();
        answer.into_inner().user.unwrap().user_id
    }

    /// Changes the name of a user.
    pub(crate) async fn rename(&self, user_id: &str, name: &str) {
        let request = UpdateUserRequest {
            user: Some(User {
                user_id: user_id.to_owned(),
                display_name: name.to_owned(),
                ..User::default()
            }),
            update_mask: Some(FieldMask {
                paths: vec!["display_name".to_owned()],
            }),
            ..UpdateUserRequest::default()
        };
        let request = authorized(&self.token(user_id), request);
        self.users.clone().update_user(request).await.unwrap();
    }

    /// An access token for this user.
    pub(crate) fn token(&self, user_id: &str) -> String {
        self.tokens.user(user_id.parse().unwrap())
    }

    /// Places an order, after the order service knows the user.
    pub(crate) async fn order(&self, user_id: &str) -> Order {
        let request = PlaceOrderRequest {
            user_id: user_id.to_owned(),
            lines: vec![line()],
            ..PlaceOrderRequest::default()
        };
        eventually("the order is placed", async || {
            let request = authorized(&self.token(user_id), request.clone());
            match self.orders.clone().place_order(request).await {
                Ok(answer) => Ok(answer.into_inner().order.unwrap()),
                Err(status) if status.code() == Code::NotFound => Err(status),
                Err(status) => panic!("{status}"),
            }
        })
        .await
    }

    /// All mails of a user, in any state.
    pub(crate) async fn mails(&self, user_id: &str) -> Vec<Notification> {
        let request = ListNotificationsRequest {
            user_id: user_id.to_owned(),
            ..Default::default()
        };
        self.notifications
            .clone()
            .list_notifications(authorized(&self.tokens.admin(), request))
            .await
            .unwrap()
            .into_inner()
            .notifications
    }

    /// Waits until a mail of this kind was sent to the user, and returns all of this kind.
    pub(crate) async fn sent(&self, user_id: &str, kind: NotificationKind) -> Vec<Notification> {
        eventually(
            &format!("{} is sent to {user_id}", kind.as_str_name()),
            async || {
                let mut mails = self.mails(user_id).await;
                mails.retain(|mail| mail.kind() == kind);
                let sent = !mails.is_empty()
                    && mails
                        .iter()
                        .all(|mail| mail.state() == NotificationState::Sent);
                if sent { Ok(mails) } else { Err(mails) }
            },
        )
        .await
    }

    /// The `.eml` file of a notification.
    pub(crate) fn eml(&self, notification: &Notification) -> String {
        let file = self
            .folder
            .path()
            .join("mails")
            .join(format!("{}.eml", notification.notification_id));
        std::fs::read_to_string(file).unwrap()
    }

    /// Publishes an event as its service would.
    pub(crate) async fn publish<E: Event>(&self, id: Uuid, event: &E) {
        let message = message(id, event);
        assert_eq!(self.broker.publish(&message).await, Confirmation::Routed);
    }

    /// Publishes any message.
    pub(crate) async fn publish_raw(&self, message: &Message) {
        assert_eq!(self.broker.publish(message).await, Confirmation::Routed);
    }

    /// Queries a service's own database.
    pub(crate) async fn query(&self, service: &str, sql: &str) -> Vec<QueryResult> {
        query(&self.database(service).await, sql).await
    }

    pub(crate) async fn database(&self, service: &str) -> store::Database {
        connect(&self.config, service).await
    }
}

/// The address of a user who is an operator once it is verified.
pub(crate) const OPERATOR: &str = "operator@example.com";

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// `event` in the envelope that its service would use, as version 1 of its aggregate.
pub(crate) fn message<E: Event>(id: Uuid, event: &E) -> Message {
    let envelope = Envelope {
        id,
        ..testkit::envelope::<E>(event.aggregate_id(), 1)
    };
    testkit::message_in(&envelope, event)
}

pub(crate) fn line() -> OrderLine {
    OrderLine {
        sku: "TEA-1".to_owned(),
        quantity: 2,
        unit_price: Some(Money {
            currency_code: "EUR".to_owned(),
            units: 4,
            nanos: 500_000_000,
        }),
    }
}

async fn connect(config: &Config, service: &str) -> store::Database {
    let config: DatabaseConfig = angarium::system::database(config, service);
    store::connect(&config, "test").await.unwrap()
}

async fn query(db: &store::Database, sql: &str) -> Vec<QueryResult> {
    db.query_all_raw(Statement::from_string(db.get_database_backend(), sql))
        .await
        .unwrap()
}

/// Short delays, so that tests do not wait for retries.
fn impatient() -> RetryPolicy {
    RetryPolicy {
        first_delay: Duration::from_millis(20),
        longest_delay: Duration::from_millis(200),
        attempts: 1000,
        ..RetryPolicy::default()
    }
}

/// What each service publishes and consumes.
pub(crate) fn participants() -> Vec<Participant> {
    let services = SERVICES.iter().map(|service| &service.definition);
    services.map(service::Definition::participant).collect()
}

fn services() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().map(|service| service.definition.name)
}

fn topologies() -> Vec<transport::Topology> {
    let participants = participants();
    participants.iter().map(Participant::topology).collect()
}
