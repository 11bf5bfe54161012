//! The engine's load on its database: almost none while idle, and little per event.

use std::time::{Duration, Instant};

use messaging::{Engine, EngineConfig, Participant, Store};
use testkit::{BrokerKind, Statements, StoreKind, eventually};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::effects::each_on_its_own;
use crate::events::{Changed, EXCHANGE};
use crate::fixture::Fixture;

/// Three polls and a moment.
const WATCHED: Duration = Duration::from_secs(16);
/// Once each 5 s, and after each of two checkpoints.
const LOOKS: usize = 6;
const OF_CHECKPOINT: usize = 24;

fn is_of_checkpoint(statement: &str) -> bool {
    statement.contains("/* checkpoint */") || statement.contains("COMMIT")
}

#[tokio::test]
async fn an_idle_service_asks_its_database_one_thing_in_five_seconds() {
    let (statements, _listening) = Statements::listen();
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    // The poll interval of production.
    fixture.store = Store::new(fixture.store.connection().clone());
    let participant = Participant {
        service: "test",
        exchanges: &[EXCHANGE, "echo_events"],
        subscriptions: Some(each_on_its_own()),
    };
    let broker = fixture.broker.of_services([&participant.topology()]);
    let engine = Engine::new(
        &fixture.store,
        &broker,
        participant,
        EngineConfig::default(),
    );
    engine.declare().await.unwrap();
    let (stop, committed) = (CancellationToken::new(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(engine.run(stop.clone(), committed.clone()));
    let event = fixture.commit(&Changed::of("a"), 1).await;
    fixture.becomes(&event.to_string(), "done").await;
    eventually("what was to be done is done", async || {
        let recent = statements.since(Instant::now() - Duration::from_secs(3));
        let recent: Vec<_> = recent
            .into_iter()
            .filter(|one| !is_of_checkpoint(one))
            .collect();
        recent.is_empty().then_some(()).ok_or(recent)
    })
    .await;

    let begun = Instant::now();
    tokio::time::sleep(WATCHED).await;
    let asked = statements.since(begun);
    let (checkpoints, asked): (Vec<_>, Vec<_>) =
        asked.into_iter().partition(|one| is_of_checkpoint(one));
    assert!((1..=LOOKS).contains(&asked.len()), "{asked:?}");
    assert!(checkpoints.len() <= OF_CHECKPOINT, "{checkpoints:?}");
    stop.cancel();
    committed.cancel();
    running.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn many_events_are_read_and_marked_together() {
    const EVENTS: usize = 200;
    let (statements, _listening) = Statements::listen();
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let transport = fixture.transport(&each_on_its_own());
    transport.declare().await.unwrap();
    for account in 0..EVENTS {
        fixture.commit(&Changed::of(&account.to_string()), 1).await;
    }
    let begun = Instant::now();
    fixture.run_relay(transport);
    fixture.all_is_published().await;
    let asked = statements.since(begun);
    let marked = asked.iter().filter(|one| one.contains("WITH lease"));
    let marked = marked.count();
    assert!((1..=EVENTS / 4).contains(&marked), "{asked:?}");
    let looks = asked.iter().filter(|one| one.contains("WITH ready"));
    let looks = looks.count();
    assert!((1..=EVENTS / 4).contains(&looks), "{asked:?}");
    fixture.stop().await;
}

#[tokio::test]
async fn checkpoints_cost_at_most_two_per_cent() {
    const EVENTS: usize = 1000;
    let (statements, _listening) = Statements::listen();
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    fixture.store = Store::new(fixture.store.connection().clone());
    let participant = Participant {
        service: "test",
        exchanges: &[EXCHANGE],
        subscriptions: Some(each_on_its_own()),
    };
    let broker = fixture.broker.of_services([&participant.topology()]);
    let engine = Engine::new(
        &fixture.store,
        &broker,
        participant,
        EngineConfig::default(),
    );
    engine.declare().await.unwrap();
    let (stop, committed) = (CancellationToken::new(), CancellationToken::new());
    let mut running = JoinSet::new();
    let begun = Instant::now();
    running.spawn(engine.run(stop.clone(), committed.clone()));
    for account in 0..EVENTS {
        fixture.commit(&Changed::of(&account.to_string()), 1).await;
    }
    eventually("all are handled", async || {
        let handled = fixture.handled().await.len();
        (handled == EVENTS).then_some(()).ok_or(handled)
    })
    .await;
    eventually("their checkpoint is followed", async || {
        let listed = "SELECT coalesce(max(last_position), 0) AS last FROM angarium_checkpoint WHERE confirmed_at IS NOT NULL";
        let last: i64 = fixture.rows(listed, []).await[0].try_get("", "last").unwrap();
        (last >= EVENTS as i64).then_some(()).ok_or(last)
    })
    .await;
    let asked = statements.since(begun).into_iter();
    let asked: Vec<_> = asked
        .filter(|one| !one.contains("account, version, attempt"))
        .collect();
    let of_checkpoints = asked.iter().filter(|one| one.contains("/* checkpoint */"));
    let own = of_checkpoints.count();
    let numbers = "SELECT count(*) AS taken FROM angarium_checkpoint WHERE number > 0";
    let taken: i64 = fixture.rows(numbers, []).await[0]
        .try_get("", "taken")
        .unwrap();
    // Taking and following are two transactions; BEGIN and COMMIT have no mark.
    let cost = own + 4 * usize::try_from(taken).unwrap();
    assert!(
        own > 0 && cost * 100 <= asked.len() * 2,
        "{cost} of {} statements, for {taken} checkpoints",
        asked.len()
    );
    stop.cancel();
    committed.cancel();
    running.join_next().await.unwrap().unwrap();
}
