//! Several relays on one database: one publishes, and another takes over when it is gone.

use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually_is};

use crate::effects::each_on_its_own;
use crate::events::Changed;
use crate::world::World;

#[rstest]
#[tokio::test]
async fn a_relay_that_died_holding_the_lease_is_succeeded(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut world = World::new(store, BrokerKind::Embedded).await;
    world.run_relay(world.transport(&each_on_its_own()));
    world.commit(&Changed::of("a"), 1).await;
    world.all_is_published().await;
    // As a process that is killed: nothing is given back.
    world.abort().await;
    assert_eq!(
        world.rows("SELECT holder FROM relay_lease", []).await.len(),
        1
    );

    world.run_relay(world.transport(&each_on_its_own()));
    world.commit(&Changed::of("a"), 2).await;
    world.all_is_published().await;
    world.stop().await;
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
    assert_eq!(
        world.rows("SELECT holder FROM relay_lease", []).await.len(),
        0
    );
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
