//! Several relays on one database: one publishes, and another takes over after its end.

use std::time::{Duration, Instant};

use messaging::transport::Confirmation;
use messaging::{Relay, RelayConfig, Store, outbox};
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually_is};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::effects::each_on_its_own;
use crate::events::Changed;
use crate::fixture::{Fixture, cause};
use crate::scripted::Scripted;

mod stale;

#[rstest]
#[tokio::test]
async fn a_relay_that_died_holding_the_lease_is_succeeded(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.commit(&Changed::of("a"), 1).await;
    fixture.all_is_published().await;
    // As after a kill: the lease stays.
    fixture.abort().await;
    assert_ne!(holder(&fixture).await, "");

    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.commit(&Changed::of("a"), 2).await;
    fixture.all_is_published().await;
    fixture.stop().await;
}

/// The standby polls as rarely as in production, and gets no signal.
#[rstest]
#[tokio::test]
async fn a_standby_takes_over_soon_after_the_active_relay_has_died(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    const TAKEOVER: Duration = Duration::from_secs(5);
    const LOOKING: Duration = Duration::from_secs(1);
    let fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let replica = || Store::new(fixture.store.connection().clone());
    let (active, standby) = (replica(), replica());
    let (to_active, mut by_active) = Scripted::new(0);
    let (to_standby, mut by_standby) = Scripted::new(0);
    let (stop, mut running, mut waiting) =
        (CancellationToken::new(), JoinSet::new(), JoinSet::new());
    let relay =
        |store: &Store, transport| Relay::new(store.clone(), transport, RelayConfig::new("test"));
    running.spawn(relay(&active, to_active).run(stop.clone()));
    commit(&active, 1).await;
    by_active.recv().await.unwrap().answer(Confirmation::Routed);
    fixture.all_is_published().await;
    waiting.spawn(relay(&standby, to_standby).run(stop.clone()));

    commit(&active, 2).await;
    let unanswered = by_active.recv().await.unwrap();
    assert_eq!(unanswered.event().1, 2);
    running.shutdown().await;
    let died = Instant::now();
    let taken_over = by_standby.recv().await.unwrap();
    let took = died.elapsed();
    assert_eq!(taken_over.event().1, 2);
    assert!(took < TAKEOVER + LOOKING, "{took:?}");
    taken_over.answer(Confirmation::Routed);
    fixture.all_is_published().await;
    stop.cancel();
    waiting.join_next().await.unwrap().unwrap();
}

async fn commit(store: &Store, version: i64) {
    let transaction = store.begin().await.unwrap();
    outbox::enqueue(&transaction, &Changed::of("a"), version, &cause()).unwrap();
    transaction.commit().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_relay_that_stops_gives_the_lease_back(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.commit(&Changed::of("a"), 1).await;
    fixture.all_is_published().await;
    fixture.stop().await;
    assert_eq!(holder(&fixture).await, "");
}

async fn holder(fixture: &Fixture) -> String {
    let rows = fixture
        .rows("SELECT holder FROM angarium_relay_lease", [])
        .await;
    rows[0].try_get("", "holder").unwrap()
}

#[rstest]
#[tokio::test]
async fn two_relays_publish_each_event_and_none_twice(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    const EVENTS: i64 = 200;
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    fixture
        .transport(&each_on_its_own())
        .declare()
        .await
        .unwrap();
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    for version in 1..=EVENTS {
        fixture.commit(&Changed::of("a"), version).await;
    }
    fixture.all_is_published().await;
    let queue = each_on_its_own().queue().name;
    eventually_is(
        "each is in the queue once",
        EVENTS.unsigned_abs(),
        async || fixture.broker.messages(&queue).await,
    )
    .await;
    fixture.stop().await;
}
