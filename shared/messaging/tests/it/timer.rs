//! Durable timers: published at their time, unless cancelled before.

use std::time::Duration;

use messaging::timer;
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually_is};

use crate::effects::{QUEUE, each_on_its_own};
use crate::events::Changed;
use crate::fixture::{Fixture, cause};

const PAST_MS: i64 = 1;
const NEVER_MS: i64 = 32_503_680_000_000;

async fn set(fixture: &Fixture, account: &str, not_before_ms: i64) {
    let transaction = fixture.store.begin().await.unwrap();
    timer::set(&transaction, &Changed::of(account), not_before_ms, &cause()).unwrap();
    transaction.commit().await.unwrap();
}

async fn cancel(fixture: &Fixture, account: &str) -> bool {
    let transaction = fixture.store.begin().await.unwrap();
    let cancelled = timer::cancel::<Changed>(&transaction, account)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    cancelled
}

async fn handled(fixture: &Fixture, accounts: usize) {
    eventually_is("they are handled", accounts, async || {
        fixture.handled().await.len()
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_timer_is_published_once_its_time_has_come_and_not_before(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    fixture.run_consumer(each_on_its_own());
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    set(&fixture, "later", NEVER_MS).await;
    set(&fixture, "now", PAST_MS).await;
    fixture.commit(&Changed::of("marker"), 1).await;
    handled(&fixture, 2).await;
    assert_eq!(fixture.versions("now").await, [1]);
    assert_eq!(fixture.versions("later").await, [0_i64; 0]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_timer_that_is_cancelled_in_time_is_never_published(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    set(&fixture, "a", PAST_MS).await;
    assert!(cancel(&fixture, "a").await);
    assert!(
        !cancel(&fixture, "a").await,
        "there is nothing left to cancel"
    );
    fixture.run_consumer(each_on_its_own());
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.commit(&Changed::of("marker"), 1).await;
    handled(&fixture, 1).await;
    assert_eq!(fixture.versions("a").await, [0_i64; 0]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_timer_that_its_own_transaction_cancels_is_never_set(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let transaction = fixture.store.begin().await.unwrap();
    timer::set(&transaction, &Changed::of("a"), 0, &cause()).unwrap();
    timer::set(&transaction, &Changed::of("b"), 0, &cause()).unwrap();
    let cancelled = timer::cancel::<Changed>(&transaction, "a").await;
    assert!(cancelled.unwrap());
    transaction.commit().await.unwrap();
    assert_eq!(fixture.outbox().await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn a_due_timer_cannot_be_cancelled(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    fixture.run_consumer(each_on_its_own());
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    set(&fixture, "a", PAST_MS).await;
    handled(&fixture, 1).await;
    assert!(!cancel(&fixture, "a").await);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_timer_is_set_only_if_its_transaction_commits(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let transaction = fixture.store.begin().await.unwrap();
    timer::set(&transaction, &Changed::of("a"), PAST_MS, &cause()).unwrap();
    drop(transaction);
    fixture.run_consumer(each_on_its_own());
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.commit(&Changed::of("marker"), 1).await;
    handled(&fixture, 1).await;
    assert_eq!(fixture.versions("a").await, [0_i64; 0]);
    fixture.stop().await;
}

/// The relay sleeps by then, with nothing else to wake it.
const SOON: Duration = Duration::from_millis(700);

async fn soon_ms(fixture: &Fixture) -> i64 {
    let now = match fixture.store.connection().get_database_backend() {
        sea_orm::DbBackend::Sqlite => "cast(unixepoch('subsec') * 1000 as integer)",
        _ => "(extract(epoch from clock_timestamp()) * 1000)::bigint",
    };
    let rows = fixture.rows(&format!("SELECT {now} AS now_ms"), []).await;
    rows[0].try_get::<i64>("", "now_ms").unwrap() + SOON.as_millis() as i64
}

#[rstest]
#[tokio::test]
async fn a_timer_wakes_a_relay_that_sleeps_and_is_published_once(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let transport = fixture.transport(&each_on_its_own());
    transport.declare().await.unwrap();
    fixture.run_relay(transport);
    set(&fixture, "a", soon_ms(&fixture).await).await;
    assert_eq!(fixture.broker.messages(QUEUE).await, 0);
    eventually_is("it is in the queue", 1, async || {
        fixture.broker.messages(QUEUE).await
    })
    .await;
    fixture.commit(&Changed::of("marker"), 1).await;
    fixture.all_is_published().await;
    fixture.stop().await;
    assert_eq!(fixture.broker.messages(QUEUE).await, 2);
}

#[rstest]
#[tokio::test]
async fn a_timer_outlives_the_process_that_set_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.commit(&Changed::of("marker"), 1).await;
    fixture.all_is_published().await;
    set(&fixture, "a", soon_ms(&fixture).await).await;
    fixture.abort().await;
    fixture.run_consumer(each_on_its_own());
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    handled(&fixture, 2).await;
    assert_eq!(fixture.versions("a").await, [1]);
    fixture.stop().await;
}
