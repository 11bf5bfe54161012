//! The order service of one test: its settings, and who receives its events.

use std::ops::Deref;
use std::time::Duration;

use contracts::order::v1::{OrderCancelled, OrderConfirmed, OrderPlaced, OrderShipped};
use messaging::{Subscriptions, transport};
use order_service::App;
use order_service::config::OrderConfig;
use store::DatabaseConfig;
use testbench::{Prepared, Subscriber, TestService, ignore, no_broker};
use testkit::{Broker, BrokerKind, Database, Stack, StoreKind};

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

    /// The service connects to `database` with `config`; the test connects directly.
    pub(crate) async fn on(database: Database, config: DatabaseConfig) -> Self {
        let broker = Broker::create(BrokerKind::Embedded).await;
        let mut prepared = prepared_on(database, broker).await;
        prepared.config.common.database = config;
        Self::start(prepared).await
    }

    /// With these limits for waiting and watched orders.
    pub(crate) async fn with_orders(store: StoreKind, orders: OrderConfig) -> Self {
        let mut prepared = prepared(store, BrokerKind::Embedded).await;
        prepared.config.own = orders;
        Self::start(prepared).await
    }

    /// No event may wait to be published. The service connects to `broker` through `reached`.
    pub(crate) async fn without_patience(
        store: StoreKind,
        broker: Broker,
        reached: transport::Broker,
    ) -> Self {
        let mut prepared = prepared_on(Database::create(store).await, broker).await;
        prepared.config.common.broker = reached;
        prepared.config.common.engine.outbox_budget = Duration::ZERO;
        Self::start(prepared).await
    }

    /// There is no broker from the beginning.
    pub(crate) async fn with_lost_broker(store: StoreKind) -> Self {
        let mut prepared = prepared(store, BrokerKind::Embedded).await;
        prepared.config.common.broker = no_broker();
        Self::start(prepared).await
    }

    async fn start(prepared: Prepared<App>) -> Self {
        Self(TestService::start(prepared).await)
    }

    /// Stops the service in order.
    pub(crate) async fn stop(self) {
        self.0.stop().await;
    }

    /// A subscriber of published events.
    pub(crate) async fn subscriber(&self) -> Subscriber {
        self.0.subscriber(&events_of_orders()).await
    }
}

async fn prepared(store: StoreKind, broker: BrokerKind) -> Prepared<App> {
    prepared_on(Database::create(store).await, Broker::create(broker).await).await
}

async fn prepared_on(database: Database, broker: Broker) -> Prepared<App> {
    let mut prepared = Prepared::on(database, broker, OrderConfig::default());
    // No other release runs beside this one.
    prepared.config.common.engine.consumer.unknown_wait = Duration::ZERO;
    prepared.declare(&events_of_orders()).await;
    prepared
}

fn events_of_orders() -> Subscriptions {
    Subscriptions::new("subscriber")
        .on::<OrderPlaced>(ignore)
        .on::<OrderConfirmed>(ignore)
        .on::<OrderShipped>(ignore)
        .on::<OrderCancelled>(ignore)
}
