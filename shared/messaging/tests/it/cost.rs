//! The engine's load on its database: almost none while idle, and little per event.

use std::time::{Duration, Instant};

use messaging::{Engine, EngineConfig, Participant, Store};
use testkit::{BrokerKind, Statements, StoreKind, eventually};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::effects::each_on_its_own;
use crate::events::{Changed, EXCHANGE};
use crate::world::World;

/// The duration of the measurement: three polls and a moment.
const WATCHED: Duration = Duration::from_secs(16);
/// One each 5 s.
const LOOKS: usize = 4;

#[tokio::test]
async fn an_idle_service_asks_its_database_one_thing_in_five_seconds() {
    let (statements, _listening) = Statements::listen();
    let mut world = World::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    // The poll interval of production.
    world.store = Store::new(world.store.connection().clone());
    let participant = Participant {
        service: "test",
        exchanges: &[EXCHANGE, "echo_events"],
        subscriptions: Some(each_on_its_own()),
    };
    let broker = world.broker.of_services([&participant.topology()]);
    let engine = Engine::new(&world.store, &broker, participant, EngineConfig::default());
    engine.declare().await.unwrap();
    let (stop, committed) = (CancellationToken::new(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(engine.run(stop.clone(), committed.clone()));
    let event = world.commit(&Changed::of("a"), 1).await;
    world.becomes(&event.to_string(), "done").await;
    eventually("what was to be done is done", async || {
        match statements.since(Instant::now() - Duration::from_secs(3)) {
            recent if recent.is_empty() => Ok(()),
            recent => Err(recent),
        }
    })
    .await;

    let begun = Instant::now();
    tokio::time::sleep(WATCHED).await;
    let asked = statements.since(begun);
    assert!((1..=LOOKS).contains(&asked.len()), "{asked:?}");
    stop.cancel();
    committed.cancel();
    running.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn many_events_are_read_and_marked_together() {
    const EVENTS: usize = 200;
    let (statements, _listening) = Statements::listen();
    let mut world = World::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let transport = world.transport(&each_on_its_own());
    transport.declare().await.unwrap();
    for account in 0..EVENTS {
        world.commit(&Changed::of(&account.to_string()), 1).await;
    }
    let begun = Instant::now();
    world.run_relay(transport);
    world.all_is_published().await;
    let asked = statements.since(begun);
    let marked = asked.iter().filter(|one| one.contains("WITH lease"));
    let marked = marked.count();
    assert!((1..=EVENTS / 4).contains(&marked), "{asked:?}");
    let looks = asked.iter().filter(|one| one.contains("WITH ready"));
    let looks = looks.count();
    assert!((1..=EVENTS / 4).contains(&looks), "{asked:?}");
    world.stop().await;
}
