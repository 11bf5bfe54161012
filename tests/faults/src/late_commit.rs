//! Transactions that take their sequence in the outbox early and commit late, after many others with a higher sequence. Each has
//! its effect soon after its commit, once, and in the order of its account. One that is rolled back has none.
//!
//! PostgreSQL only: SQLite has one writer, so sequences follow the order of the commits.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use messaging::{Consumer, ConsumerConfig, Relay, RelayConfig, Store};
use testkit::{BrokerKind, StoreKind};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checker::Verdict;
use crate::deposit;
use crate::fixture::{Fixture, look_into};
use crate::wire::Wire;

mod lane;

use lane::{Lane, Passed, SOON};

/// Each with a relay, like the replicas of a service.
const STORES: usize = 3;
/// The name of the run.
const RUN: &str = "late";

pub(crate) async fn run(rounds: usize, patience: Duration) -> Result<Verdict> {
    // The short form has few rounds.
    let (lanes, held) = if rounds < 100 { (5, 1) } else { (10, 5) };
    let held = Duration::from_secs(held);
    ensure!(
        rounds.is_multiple_of(lanes),
        "{rounds} rounds in {lanes} lanes"
    );
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
    let stores = services(&fixture, &stop, &mut running).await?;
    let effects = look_into(&fixture.consumer).await?;

    let mut holding = JoinSet::new();
    for number in 0..lanes {
        let lane = Lane {
            name: format!("{RUN}-{number}"),
            // The other transactions are from another store.
            late: stores[number % STORES].clone(),
            early: stores[(number + 1) % STORES].clone(),
            effects: effects.clone(),
            held,
            patience,
        };
        holding.spawn(lane.run(rounds / lanes));
    }
    let mut passed: Vec<Passed> = Vec::new();
    while let Some(lane) = holding.join_next().await {
        let (said, of_lane) = lane??;
        fixture.take_in(&said);
        passed.extend(of_lane);
    }
    let begun = Instant::now();
    let last = [&effects, stores[0].connection()];
    if lane::all_have_effects(last, patience).await? {
        fixture.take_in(&format!("quiet {}\n", begun.elapsed().as_millis()));
    }
    stop.cancel();
    let ending = async { while running.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(10), ending).await;

    let verdict = fixture.verdict(RUN, true).await?;
    let in_time = passed.iter().filter(|late| late.took.is_some()).count();
    let slowest = passed.iter().filter_map(|late| late.took).max();
    let least = passed.iter().map(|late| late.by).min().unwrap_or(0);
    let kept = in_time == rounds && least >= lanes;
    println!(
        "late-commit{}: {in_time} of {} transactions ({rounds} planned) had their effect within {SOON:?} after their commit, the \
         slowest after {:.2} s; each was held open for {held:?}, and at least {least} others were committed meanwhile",
        if kept { "" } else { " WRONG" },
        passed.len(),
        slowest.unwrap_or_default().as_secs_f64(),
    );
    Ok(Verdict {
        wrong: usize::from(!kept),
        ..verdict
    })
}

/// Several stores that commit, each with a relay at the usual interval: one relay publishes, and the others wake it. And one
/// consumer that keeps order.
async fn services(
    fixture: &Fixture,
    stop: &CancellationToken,
    running: &mut JoinSet<()>,
) -> Result<Vec<Store>> {
    let consuming = fixture.transport().await?;
    consuming.declare().await?;
    let consumer = Consumer::new(
        Store::new(fixture.consumer.connect().await),
        Wire::before(consuming.clone(), &fixture.wire(RUN), 0)?,
        deposit::subscriptions(false),
        ConsumerConfig::default(),
    );
    running.spawn(consumer.run(stop.clone()));
    let mut stores = Vec::new();
    for _ in 0..STORES {
        let store = Store::new(fixture.producer.connect().await);
        let relay = Relay::new(
            store.clone(),
            consuming.clone(),
            RelayConfig::new("producer"),
        );
        running.spawn(relay.run(stop.clone()));
        stores.push(store);
    }
    Ok(stores)
}
