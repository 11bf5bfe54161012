//! One running order service with its own database, broker and subscriber.

use std::time::Duration;

use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{
    CancelOrderRequest, ConfirmOrderRequest, ExpiryElapsed, GetOrderRequest, GetUserViewRequest,
    GetUserViewResponse, Order, PlaceOrderRequest, ShipOrderRequest,
};
use event::Message;
use messaging::transport::{self, Confirmation, RabbitMqConfig};
use messaging::{ConsumerConfig, EngineConfig};
use order_service::config::OrderConfig;
use order_service::events::QUEUE;
use order_service::store::users::{self, Heard};
use order_service::store::{known_user, orders};
use order_service::{App, Config, DEFINITION};
use prost::Name as _;
use sea_orm::{ConnectionTrait as _, EntityTrait as _, PaginatorTrait as _, Statement};
use service::{Common, Host};
use store::DatabaseConfig;
use testkit::{
    Broker, BrokerKind, Database, Promised, Running, StoreKind, Tokens, authorized, eventually_is,
};
use tonic::transport::Channel;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::samples::{created, new_id, parcel_of, tea_for};
use crate::subscriber::{self, Subscriber};

pub(crate) struct World {
    // First, so that tasks end before the resources that they use.
    running: Running,
    pub(crate) db: store::Database,
    pub(crate) tokens: Tokens,
    /// The token of the admin who makes the calls of a test.
    admin: String,
    settings: Settings,
    _database: Database,
}

/// The parts of the service's configuration.
struct Settings {
    database: DatabaseConfig,
    broker: Broker,
    /// The service's address of the broker.
    reached: transport::Broker,
    engine: EngineConfig,
    orders: OrderConfig,
}

impl Settings {
    /// Defaults, on a private broker.
    async fn of(database: &Database) -> Self {
        let broker = Broker::create(BrokerKind::Embedded).await;
        subscriber::declare(&broker).await;
        Self {
            database: database.config(),
            reached: broker.of_services([&DEFINITION.participant().topology()]),
            broker,
            engine: EngineConfig {
                // No other release runs beside this one.
                consumer: ConsumerConfig {
                    unknown_wait: Duration::ZERO,
                    ..ConsumerConfig::default()
                },
                ..EngineConfig::default()
            },
            orders: OrderConfig::default(),
        }
    }

    async fn start(&self) -> Running {
        let (database, reached) = (self.database.clone(), self.reached.clone());
        let common = Common::new(testkit::any_port(), database, reached);
        let app = Host::build::<App>(Config {
            common: common.with_engine(self.engine.clone()),
            own: self.orders.clone(),
        });
        let app = app.await.unwrap();
        Running::start(app.grpc_addr(), |shutdown| app.run(shutdown)).await
    }
}

impl World {
    pub(crate) async fn new(store: StoreKind) -> Self {
        let database = Database::create(store).await;
        let config = database.config();
        Self::on(database, config).await
    }

    /// The service connects to `database` with `config`; the test connects directly.
    pub(crate) async fn on(database: Database, config: DatabaseConfig) -> Self {
        let settings = Settings {
            database: config,
            ..Settings::of(&database).await
        };
        Self::build(database, settings).await
    }

    /// With these limits for waiting and watched orders.
    pub(crate) async fn with_orders(store: StoreKind, orders: OrderConfig) -> Self {
        let database = Database::create(store).await;
        let settings = Settings {
            orders,
            ..Settings::of(&database).await
        };
        Self::build(database, settings).await
    }

    /// No event may wait to be published. The service connects to `broker` through `reached`.
    pub(crate) async fn without_patience(
        store: StoreKind,
        broker: Broker,
        reached: transport::Broker,
    ) -> Self {
        let database = Database::create(store).await;
        let settings = Settings {
            database: database.config(),
            broker,
            reached,
            engine: EngineConfig {
                outbox_budget: Duration::ZERO,
                ..EngineConfig::default()
            },
            orders: OrderConfig::default(),
        };
        Self::build(database, settings).await
    }

    /// There is no broker from the beginning.
    pub(crate) async fn with_lost_broker(store: StoreKind) -> Self {
        let database = Database::create(store).await;
        let settings = Settings {
            reached: no_broker(),
            ..Settings::of(&database).await
        };
        Self::build(database, settings).await
    }

    async fn build(database: Database, settings: Settings) -> Self {
        let db = database.connect().await;
        let running = settings.start().await;
        let tokens = Tokens::accepted_by(&db).await;
        Self {
            running,
            admin: tokens.admin(),
            tokens,
            db,
            settings,
            _database: database,
        }
    }

    /// Another process of the service, on the same database and broker.
    pub(crate) async fn replica(&self) -> Running {
        self.settings.start().await
    }

    pub(crate) fn channel(&self) -> Channel {
        self.running.channel()
    }

    pub(crate) fn client(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(self.channel())
    }

    /// `message` in a call of an admin.
    pub(crate) fn of_admin<T>(&self, message: T) -> Request<T> {
        authorized(&self.admin, message)
    }

    pub(crate) async fn place(&self, request: PlaceOrderRequest) -> Result<Order, Status> {
        let answer = self.client().place_order(self.of_admin(request)).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    pub(crate) async fn get(&self, order_id: &str) -> Result<Order, Status> {
        let order_id = order_id.to_owned();
        let request = self.of_admin(GetOrderRequest { order_id });
        let answer = self.client().get_order(request).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    pub(crate) async fn cancel(&self, order_id: &str, reason: &str) -> Result<Order, Status> {
        let request = CancelOrderRequest {
            order_id: order_id.to_owned(),
            reason: reason.to_owned(),
            ..CancelOrderRequest::default()
        };
        self.cancel_by(request).await
    }

    pub(crate) async fn cancel_by(&self, request: CancelOrderRequest) -> Result<Order, Status> {
        let answer = self.client().cancel_order(self.of_admin(request)).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    pub(crate) async fn confirm(&self, order_id: &str) -> Result<Order, Status> {
        let request = ConfirmOrderRequest {
            order_id: order_id.to_owned(),
            ..ConfirmOrderRequest::default()
        };
        self.confirm_as(request).await
    }

    pub(crate) async fn confirm_as(&self, request: ConfirmOrderRequest) -> Result<Order, Status> {
        let answer = self.client().confirm_order(self.of_admin(request)).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    pub(crate) async fn ship(&self, order_id: &str) -> Result<Order, Status> {
        self.ship_as(parcel_of(order_id)).await
    }

    pub(crate) async fn ship_as(&self, request: ShipOrderRequest) -> Result<Order, Status> {
        let answer = self.client().ship_order(self.of_admin(request)).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    pub(crate) async fn user_view(&self, user_id: &str) -> Result<GetUserViewResponse, Status> {
        let user_id = user_id.to_owned();
        let request = GetUserViewRequest { user_id };
        let answer = self.client().get_user_view(self.of_admin(request)).await?;
        Ok(answer.into_inner())
    }

    /// As [`place`](Self::place) and [`cancel`](Self::cancel), with these correlation ids.
    pub(crate) async fn place_and_cancel_as(
        &self,
        [placing, cancelling]: [&str; 2],
        request: PlaceOrderRequest,
        reason: &str,
    ) -> (Order, Order) {
        let placing = correlated(placing, self.of_admin(request));
        let placed = self.client().place_order(placing).await.unwrap();
        let placed = placed.into_inner().order.unwrap();
        let request = CancelOrderRequest {
            order_id: placed.order_id.clone(),
            reason: reason.to_owned(),
            ..CancelOrderRequest::default()
        };
        let cancelling = correlated(cancelling, self.of_admin(request));
        let cancelled = self.client().cancel_order(cancelling).await.unwrap();
        (placed, cancelled.into_inner().order.unwrap())
    }

    /// A user who can order, known from an event.
    pub(crate) async fn known_user(&self) -> String {
        let user_id = new_id();
        self.send(&created(&user_id, 1)).await;
        self.knows(&user_id).await;
        user_id
    }

    /// As [`known_user`](Self::known_user), but without a broker for the event.
    pub(crate) async fn known_here(&self) -> String {
        let heard = Heard {
            user_id: Uuid::now_v7(),
            version: 1,
            event_at_ms: 1_700_000_000_000,
        };
        users::heard_of_user(&self.db, &heard).await.unwrap();
        heard.user_id.to_string()
    }

    /// An order of a new user.
    pub(crate) async fn placed_order(&self) -> Order {
        let user_id = self.known_user().await;
        self.place(tea_for(&user_id)).await.unwrap()
    }

    /// Waits until this user can order.
    pub(crate) async fn knows(&self, user_id: &str) {
        eventually_is("the user is known", true, async || {
            let user = known_user::Entity::find_by_id(user_id).one(&self.db).await;
            user.unwrap().is_some()
        })
        .await;
    }

    /// Delivers a message as another service would publish it.
    pub(crate) async fn send(&self, message: &Message) {
        let confirmation = self.settings.broker.publish(message).await;
        assert_eq!(confirmation, Confirmation::Routed);
    }

    /// Waits until the service has acknowledged all sent messages.
    pub(crate) async fn settled(&self) {
        eventually_is("the queue is empty", 0, async || {
            self.settings.broker.messages(QUEUE).await
        })
        .await;
    }

    /// Waits until this message has this state in the service's inbox.
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
        let sql = format!("SELECT state, cause FROM angarium_inbox WHERE event_id = '{id}'");
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        let row = self.db.query_one_raw(statement).await.unwrap()?;
        Some((
            row.try_get_by_index(0).unwrap(),
            row.try_get_by_index(1).unwrap(),
        ))
    }

    /// The enqueued events of orders.
    pub(crate) async fn outbox(&self) -> Vec<Promised> {
        let mut promised = testkit::outbox(&self.db).await;
        promised.retain(|promised| promised.event_type != ExpiryElapsed::full_name());
        promised
    }

    /// The number of active timers.
    pub(crate) async fn timers(&self) -> i64 {
        self.count("SELECT count(*) FROM angarium_outbox WHERE held_until IS NOT NULL")
            .await
    }

    pub(crate) async fn count_users(&self) -> u64 {
        known_user::Entity::find().count(&self.db).await.unwrap()
    }

    pub(crate) async fn count_orders(&self) -> u64 {
        orders::Entity::find().count(&self.db).await.unwrap()
    }

    /// The number that `sql` selects.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        let row = self.db.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.unwrap();
    }

    /// A subscriber of published events.
    pub(crate) async fn subscriber(&self) -> Subscriber {
        Subscriber::of(&self.settings.broker).await
    }

    /// Stops the service in order.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}

/// An address without a broker.
pub(crate) fn no_broker() -> transport::Broker {
    let url = "amqp://user:password@127.0.0.1:1/%2f".parse().unwrap();
    transport::Broker::RabbitMq(RabbitMqConfig::new(url))
}

fn correlated<T>(correlation_id: &str, mut request: Request<T>) -> Request<T> {
    let value = correlation_id.parse().unwrap();
    let metadata = request.metadata_mut();
    metadata.insert(runtime::grpc::CORRELATION_HEADER, value);
    request
}
