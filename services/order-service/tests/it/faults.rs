//! Without the database, callers get an early and clear error, events wait, and no restart is needed.

use std::sync::Arc;
use std::time::Duration;

use contracts::order::v1::CancelOrderRequest;
use contracts::order::v1::order_service_server::OrderService as _;
use messaging::Store;
use order_service::commands::Commands;
use order_service::grpc::Orders;
use order_service::migrations::Migrator;
use order_service::store::orders as order_store;
use order_service::store::users::{self, Heard};
use order_service::watch::Watchers;
use runtime::auth::{Caller, Role};
use runtime::slots::Limits;
use runtime::{PageTokens, TestClock};
use sea_orm::{ConnectionTrait as _, EntityTrait as _, PaginatorTrait as _};
use service::CommandStore;
use testkit::{Database, Proxy, StoreKind, eventually, eventually_is, reason};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use uuid::Uuid;

use crate::fixture::Fixture;
use crate::samples::{created, new_id, tea_for};

/// The pool gives up much earlier.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn without_its_database_the_service_is_unavailable_and_recovers() {
    let database = Database::create(StoreKind::Postgres).await;
    let proxy = Proxy::before(database.url()).await;
    let mut config = database.config();
    config.url = proxy.url().into();
    config.acquire_timeout = Duration::from_secs(2);
    let fixture = Fixture::on(database, config).await;
    let order = fixture.placed_order().await;

    proxy.cut();
    let user_id = new_id();
    fixture.send(&created(&user_id, 1)).await;
    assert_unavailable(soon(fixture.get(&order.order_id)).await);
    assert_unavailable(soon(fixture.place(tea_for(&order.user_id))).await);
    assert_unavailable(soon(fixture.cancel(&order.order_id, "")).await);

    proxy.mend();
    let shown = eventually("the order is shown again", async || {
        fixture.get(&order.order_id).await
    });
    assert_eq!(shown.await, order);
    fixture.knows(&user_id).await;
    fixture.place(tea_for(&user_id)).await.unwrap();
    assert_eq!(fixture.outbox().await.len(), 2);
    fixture.stop().await;
}

/// This name is for monitoring, not for supervisors.
#[tokio::test]
async fn health_names_a_consumer_that_waits_for_its_database() {
    let database = Database::create(StoreKind::Postgres).await;
    let proxy = Proxy::before(database.url()).await;
    let mut config = database.config();
    config.url = proxy.url().into();
    config.acquire_timeout = Duration::from_millis(300);
    let fixture = Fixture::on(database, config).await;
    let consumer = async || {
        let request = HealthCheckRequest {
            service: "angarium.order.v1.OrderService/consumer".to_owned(),
        };
        let answer = HealthClient::new(fixture.channel()).check(request).await;
        answer.unwrap().into_inner().status()
    };
    eventually_is("it serves", ServingStatus::Serving, &consumer).await;
    proxy.cut();
    let user_id = new_id();
    fixture.send(&created(&user_id, 1)).await;
    eventually_is("it waits", ServingStatus::NotServing, &consumer).await;
    proxy.mend();
    fixture.knows(&user_id).await;
    eventually_is("it serves again", ServingStatus::Serving, &consumer).await;
    fixture.stop().await;
}

/// Without the engine, which would also wait for the lock.
#[tokio::test]
async fn while_its_file_is_locked_the_service_is_unavailable() {
    let database = Database::create(StoreKind::Sqlite).await;
    let store = Store::new(database.migrated::<Migrator>().await);
    let clock = Arc::new(TestClock::at(1_000));
    let commands = Commands::new(
        CommandStore::new(store.clone()),
        clock,
        Duration::from_secs(3600),
    );
    let tokens = PageTokens::open(store.connection()).await.unwrap();
    let orders = Orders::new(
        store.clone(),
        commands,
        Watchers::new(store, one_watcher()),
        tokens,
    );
    let other = database.connect().await;
    let locked = ::store::Transaction::begin(&other);
    let locked = locked.await.unwrap();
    // One waits for the file, the other for its turn to write.
    let both = async || {
        let cancelling = CancelOrderRequest {
            order_id: new_id(),
            ..CancelOrderRequest::default()
        };
        tokio::join!(
            orders.place_order(of_admin(tea_for(&new_id()))),
            orders.cancel_order(of_admin(cancelling)),
        )
    };
    let (placed, cancelled) = both().await;
    assert_unavailable(placed);
    assert_unavailable(cancelled);

    locked.rollback().await.unwrap();
    let (placed, cancelled) = both().await;
    assert_eq!(reason(&placed.unwrap_err()), "USER_UNKNOWN");
    assert_eq!(reason(&cancelled.unwrap_err()), "ORDER_NOT_FOUND");
}

/// SQLite's page limit simulates the disk. It belongs to one connection.
#[tokio::test]
async fn a_full_file_is_reported_as_that_and_the_next_order_is_kept() {
    let database = Database::create(StoreKind::Sqlite).await;
    let other = database.migrated::<Migrator>().await;
    let mut config = database.config();
    config.pool_max = 1;
    let store = Store::connect(&config, "test").await.unwrap();
    let clock = Arc::new(TestClock::at(1_000));
    let commands = Commands::new(
        CommandStore::new(store.clone()),
        clock,
        Duration::from_secs(3600),
    );
    let tokens = PageTokens::open(store.connection()).await.unwrap();
    let watchers = Watchers::new(store.clone(), one_watcher());
    let orders = Orders::new(store.clone(), commands, watchers, tokens);
    let user = Heard {
        user_id: Uuid::now_v7(),
        version: 1,
        event_at_ms: 1_700_000_000_000,
    };
    users::heard_of_user(&other, &user).await.unwrap();
    let place = async || {
        let request = of_admin(tea_for(&user.user_id.to_string()));
        orders.place_order(request).await
    };
    let full = "PRAGMA max_page_count = 1";
    store.connection().execute_unprepared(full).await.unwrap();
    let raised = store.doubt().raised();

    let mut taken = 0;
    let refused = loop {
        match place().await {
            Ok(_) => taken += 1,
            Err(status) => break status,
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert_eq!(reason(&refused), "DATABASE_FULL");
    assert!(
        store.doubt().raised() > raised,
        "health is not asked to look"
    );

    let room = "PRAGMA max_page_count = 1000000";
    store.connection().execute_unprepared(room).await.unwrap();
    for _ in 0..6 {
        place().await.unwrap();
    }
    let kept = order_store::Entity::find().count(&other).await.unwrap();
    assert_eq!(kept, taken + 6);
}

/// As the authentication layer passes it on.
fn of_admin<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller {
        user_id: Uuid::now_v7(),
        role: Role::Admin,
        session_id: None,
        email_verified: None,
    });
    request
}

async fn soon<T>(answer: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(SOON, answer).await;
    answer.unwrap_or_else(|_| panic!("no answer within {SOON:?}"))
}

/// No statement, no driver, no path.
fn assert_unavailable<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(reason(&status), "DATABASE_UNAVAILABLE");
    let answer = format!(
        "{} {}",
        status.message(),
        String::from_utf8_lossy(status.details())
    );
    let answer = answer.to_lowercase();
    for word in [
        "sql",
        "select",
        "insert",
        "pool",
        "order",
        "connection",
        "127.0.0.1",
        ".db",
    ] {
        assert!(!answer.contains(word), "{word}: {answer}");
    }
}

fn one_watcher() -> Limits {
    Limits {
        all: 1,
        of_address: None,
        of_user: None,
    }
}
