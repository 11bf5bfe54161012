//! One user service that runs, with a database, a broker and a subscriber of its own.

use std::sync::Arc;
use std::time::Duration;

use contracts::Event;
use contracts::user::v1::user_service_client::UserServiceClient;
use contracts::user::v1::{CreateUserRequest, User, UserCreated};
use event::Message;
use messaging::transport::{Ack, Queue, Topology};
use messaging::{Delivered, EngineConfig, HandlerError, Store, Subscriptions, Transaction};
use runtime::TestClock;
use runtime::config::{DatabaseConfig, LifecycleConfig, TelemetryConfig};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use testkit::{Broker, BrokerKind, Database, Promised, Running, StoreKind};
use tonic::transport::Channel;
use tonic::{Request, Status};
use user_service::app::participant;
use user_service::commands::Commands;
use user_service::grpc::Users;
use user_service::password::Hasher;
use user_service::{App, Config};

pub(crate) struct World {
    // First, so that what runs ends before what it runs on.
    running: Running,
    pub(crate) db: DatabaseConnection,
    broker: Broker,
    _database: Database,
}

impl World {
    pub(crate) async fn new(store: StoreKind) -> Self {
        let database = Database::create(store).await;
        let config = database.config();
        Self::on(database, config).await
    }

    /// Nobody subscribes to its events, and none may wait to be published.
    pub(crate) async fn with_overdue_events(store: StoreKind) -> Self {
        let database = Database::create(store).await;
        let config = database.config();
        let engine = EngineConfig {
            outbox_budget: Duration::ZERO,
            ..EngineConfig::default()
        };
        let broker = Broker::create(BrokerKind::Embedded).await;
        Self::build(database, config, engine, broker).await
    }

    /// The service reaches `database` by `config`, while the test looks into it directly.
    pub(crate) async fn on(database: Database, config: DatabaseConfig) -> Self {
        let broker = Broker::create(BrokerKind::Embedded).await;
        broker.transport(topology()).declare().await.unwrap();
        Self::build(database, config, EngineConfig::default(), broker).await
    }

    async fn build(
        database: Database,
        config: DatabaseConfig,
        engine: EngineConfig,
        broker: Broker,
    ) -> Self {
        let app = App::build(Config {
            grpc: testkit::any_port(),
            database: config,
            broker: broker.of_services([&participant().topology()]),
            engine,
            telemetry: TelemetryConfig::default(),
            lifecycle: LifecycleConfig::default(),
        });
        let app = app.await.unwrap();
        let running = Running::start(app.grpc_addr(), |shutdown| app.run(shutdown)).await;
        Self {
            running,
            db: database.connect().await,
            broker,
            _database: database,
        }
    }

    pub(crate) fn channel(&self) -> Channel {
        self.running.channel()
    }

    pub(crate) fn client(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel())
    }

    pub(crate) async fn create(&self, request: CreateUserRequest) -> Result<User, Status> {
        let answer = self.client().create_user(request).await?;
        Ok(answer.into_inner().user.unwrap())
    }

    /// As [`create`](Self::create), in a call that has this correlation id.
    pub(crate) async fn create_as(&self, correlation_id: &str, request: CreateUserRequest) -> User {
        let mut request = Request::new(request);
        let header = runtime::grpc::CORRELATION_HEADER;
        let value = correlation_id.parse().unwrap();
        request.metadata_mut().insert(header, value);
        let answer = self.client().create_user(request).await.unwrap();
        answer.into_inner().user.unwrap()
    }

    pub(crate) async fn outbox(&self) -> Vec<Promised> {
        testkit::outbox(&self.db).await
    }

    pub(crate) async fn count_users(&self) -> i64 {
        let backend = self.db.get_database_backend();
        let statement = Statement::from_string(backend, "SELECT count(*) FROM users");
        let row = self.db.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.unwrap();
    }

    /// The next event that the broker brings to the subscriber.
    pub(crate) async fn receive(&self) -> Message {
        let transport = self.broker.transport(topology());
        let mut receiver = transport.receiver(SUBSCRIBER, 1).await.unwrap();
        let delivery = receiver.receive().await.unwrap();
        receiver.acknowledge(Ack::One(delivery.tag)).await.unwrap();
        delivery.message
    }

    /// Ends the service, in order.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}

pub(crate) fn ada() -> CreateUserRequest {
    CreateUserRequest {
        email: "ada@example.com".to_owned(),
        password: "correct horse battery".to_owned(),
        display_name: "Ada Lovelace".to_owned(),
        ..CreateUserRequest::default()
    }
}

/// The service without its engine and its socket.
pub(crate) fn users(store: &Store, hasher: &Hasher) -> Users {
    let clock = Arc::new(TestClock::at(1_000));
    Users::new(Commands::new(store.clone(), hasher.clone(), clock))
}

const SUBSCRIBER: &str = "subscriber";

/// Somebody who wants to hear of new users.
fn topology() -> Topology {
    Topology::publishing([UserCreated::EXCHANGE]).consuming(subscriber())
}

fn subscriber() -> Queue {
    async fn ignore(_: &Transaction, _: UserCreated, _: &Delivered) -> Result<(), HandlerError> {
        Ok(())
    }
    Subscriptions::new(SUBSCRIBER)
        .on::<UserCreated>(ignore)
        .queue()
}
