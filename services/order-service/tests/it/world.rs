//! One order service that runs, with a database, a broker and a subscriber of its own.

use std::time::Duration;

use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{CancelOrderRequest, GetOrderRequest, Order, PlaceOrderRequest};
use event::Message;
use messaging::EngineConfig;
use messaging::transport::{self, Confirmation};
use order_service::app::participant;
use order_service::events::QUEUE;
use order_service::store::{known_user, orders};
use order_service::{App, Config};
use runtime::config::{DatabaseConfig, LifecycleConfig, TelemetryConfig};
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, EntityTrait as _, PaginatorTrait as _, Statement,
};
use testkit::{Broker, BrokerKind, Database, Promised, Running, StoreKind, eventually_is};
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::samples::{created, new_id, tea_for};
use crate::subscriber::{self, Subscriber};

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

    /// The service reaches `database` by `config`, while the test looks into it directly.
    pub(crate) async fn on(database: Database, config: DatabaseConfig) -> Self {
        let broker = Broker::create(BrokerKind::Embedded).await;
        subscriber::declare(&broker).await;
        let reached = broker.of_services([&participant().topology()]);
        let engine = EngineConfig::default();
        Self::build(database, config, broker, reached, engine).await
    }

    /// No event may wait to be published. The service reaches `broker` as `reached`.
    pub(crate) async fn without_patience(
        store: StoreKind,
        broker: Broker,
        reached: transport::Broker,
    ) -> Self {
        let database = Database::create(store).await;
        let config = database.config();
        let engine = EngineConfig {
            outbox_budget: Duration::ZERO,
            ..EngineConfig::default()
        };
        Self::build(database, config, broker, reached, engine).await
    }

    async fn build(
        database: Database,
        config: DatabaseConfig,
        broker: Broker,
        reached: transport::Broker,
        engine: EngineConfig,
    ) -> Self {
        let app = App::build(Config {
            grpc: testkit::any_port(),
            database: config,
            broker: reached,
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

    fn client(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(self.channel())
    }

    pub(crate) async fn place(&self, request: PlaceOrderRequest) -> Result<Order, Status> {
        let answer = self.client().place_order(request).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    pub(crate) async fn get(&self, order_id: &str) -> Result<Order, Status> {
        let order_id = order_id.to_owned();
        let answer = self
            .client()
            .get_order(GetOrderRequest { order_id })
            .await?;
        Ok(answer.into_inner().order.unwrap())
    }

    pub(crate) async fn cancel(&self, order_id: &str, reason: &str) -> Result<Order, Status> {
        let request = CancelOrderRequest {
            order_id: order_id.to_owned(),
            reason: reason.to_owned(),
            ..Default::default()
        };
        self.cancel_by(request).await
    }

    pub(crate) async fn cancel_by(&self, request: CancelOrderRequest) -> Result<Order, Status> {
        let answer = self.client().cancel_order(request).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    /// As [`place`](Self::place) and [`cancel`](Self::cancel), in calls that have these correlation ids.
    pub(crate) async fn place_and_cancel_as(
        &self,
        [placing, cancelling]: [&str; 2],
        request: PlaceOrderRequest,
        reason: &str,
    ) -> (Order, Order) {
        let placing = correlated(placing, request);
        let placed = self.client().place_order(placing).await.unwrap();
        let placed = placed.into_inner().order.unwrap();
        let request = CancelOrderRequest {
            order_id: placed.order_id.clone(),
            reason: reason.to_owned(),
            ..Default::default()
        };
        let cancelling = correlated(cancelling, request);
        let cancelled = self.client().cancel_order(cancelling).await.unwrap();
        (placed, cancelled.into_inner().order.unwrap())
    }

    /// A user for whom orders are taken, made known as users are: by their event.
    pub(crate) async fn known_user(&self) -> String {
        let user_id = new_id();
        self.send(&created(&user_id, 1)).await;
        self.knows(&user_id).await;
        user_id
    }

    /// An order of a user of its own.
    pub(crate) async fn placed_order(&self) -> Order {
        let user_id = self.known_user().await;
        self.place(tea_for(&user_id)).await.unwrap()
    }

    /// Waits until orders are taken for this user.
    pub(crate) async fn knows(&self, user_id: &str) {
        eventually_is("the user is known", true, async || {
            let user = known_user::Entity::find_by_id(user_id).one(&self.db).await;
            user.unwrap().is_some()
        })
        .await;
    }

    /// Brings a message to the service as another service's broker connection does.
    pub(crate) async fn send(&self, message: &Message) {
        let confirmation = self.broker.publish(message).await;
        assert_eq!(confirmation, Confirmation::Routed);
    }

    /// Waits until the service has acknowledged all that was sent to it.
    pub(crate) async fn settled(&self) {
        eventually_is("the queue is empty", 0, async || {
            self.broker.messages(QUEUE).await
        })
        .await;
    }

    /// Waits until the service's inbox has this message in this state.
    pub(crate) async fn becomes(&self, message: &Message, state: &str) {
        let state = Some(state.to_owned());
        eventually_is("the message is settled", state, async || {
            self.inbox(message).await.map(|(state, _)| state)
        })
        .await;
    }

    /// State and cause of a message in the service's inbox.
    pub(crate) async fn inbox(&self, message: &Message) -> Option<(String, Option<String>)> {
        let id = message.message_id.as_deref().unwrap();
        let sql = format!("SELECT state, cause FROM inbox WHERE event_id = '{id}'");
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        let row = self.db.query_one_raw(statement).await.unwrap()?;
        Some((
            row.try_get_by_index(0).unwrap(),
            row.try_get_by_index(1).unwrap(),
        ))
    }

    pub(crate) async fn outbox(&self) -> Vec<Promised> {
        testkit::outbox(&self.db).await
    }

    pub(crate) async fn count_users(&self) -> u64 {
        known_user::Entity::find().count(&self.db).await.unwrap()
    }

    pub(crate) async fn count_orders(&self) -> u64 {
        orders::Entity::find().count(&self.db).await.unwrap()
    }

    /// The one number that `sql` selects.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        let row = self.db.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.unwrap();
    }

    /// Somebody to whom the broker brings what has been published.
    pub(crate) async fn subscriber(&self) -> Subscriber {
        Subscriber::of(&self.broker).await
    }

    /// Ends the service, in order.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}

fn correlated<T>(correlation_id: &str, request: T) -> Request<T> {
    let mut request = Request::new(request);
    let value = correlation_id.parse().unwrap();
    let metadata = request.metadata_mut();
    metadata.insert(runtime::grpc::CORRELATION_HEADER, value);
    request
}
