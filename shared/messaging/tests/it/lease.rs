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
use crate::scripted::Scripted;
use crate::world::{World, cause};

mod stale;

#[rstest]
#[tokio::test]
async fn a_relay_that_died_holding_the_lease_is_succeeded(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut world = World::new(store, BrokerKind::Embedded).await;
    world.run_relay(world.transport(&each_on_its_own()));
    world.commit(&Changed::of("a"), 1).await;
    world.all_is_published().await;
    // As after a kill: the lease stays.
    world.abort().await;
    assert_ne!(holder(&world).await, "");

    world.run_relay(world.transport(&each_on_its_own()));
    world.commit(&Changed::of("a"), 2).await;
    world.all_is_published().await;
    world.stop().await;
}

/// The standby polls as rarely as in production, and gets no signal.
#[rstest]
#[tokio::test]
async fn a_standby_takes_over_soon_after_the_active_relay_has_died(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    const TAKEOVER: Duration = Duration::from_secs(5);
    const LOOKING: Duration = Duration::from_secs(1);
    let world = World::new(store, BrokerKind::Embedded).await;
    let replica = || Store::new(world.store.connection().clone());
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
    world.all_is_published().await;
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
    world.all_is_published().await;
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
    let mut world = World::new(store, BrokerKind::Embedded).await;
    world.run_relay(world.transport(&each_on_its_own()));
    world.commit(&Changed::of("a"), 1).await;
    world.all_is_published().await;
    world.stop().await;
    assert_eq!(holder(&world).await, "");
}

async fn holder(world: &World) -> String {
    let rows = world
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
    let mut world = World::new(store, BrokerKind::Embedded).await;
    world.transport(&each_on_its_own()).declare().await.unwrap();
    world.run_relay(world.transport(&each_on_its_own()));
    world.run_relay(world.transport(&each_on_its_own()));
    for version in 1..=EVENTS {
        world.commit(&Changed::of("a"), version).await;
    }
    world.all_is_published().await;
    let queue = each_on_its_own().queue().name;
    eventually_is(
        "each is in the queue once",
        EVENTS.unsigned_abs(),
        async || world.broker.messages(&queue).await,
    )
    .await;
    world.stop().await;
}
