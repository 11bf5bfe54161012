//! Transactions that take their place in the outbox early and commit late, while many others pass them by: each has its effect
//! soon after its commit, once, and in the order of its account. One that is rolled back in the end has none.
//!
//! PostgreSQL only: on SQLite there is one writer, so places are taken in the order of the commits.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use messaging::{Consumer, ConsumerConfig, Relay, RelayConfig, Store};
use testkit::{BrokerKind, StoreKind};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checker::Verdict;
use crate::deposit;
use crate::wire::Wire;
use crate::world::{World, look_into};

mod lane;

use lane::{Lane, Passed, SOON};

/// Each with a relay, as the processes of a service.
const STORES: usize = 3;
/// The name of the run.
const RUN: &str = "late";

pub(crate) async fn run(rounds: usize, patience: Duration) -> Result<Verdict> {
    // Few rounds are the short form.
    let (lanes, held) = if rounds < 100 { (5, 1) } else { (10, 5) };
    let held = Duration::from_secs(held);
    ensure!(
        rounds.is_multiple_of(lanes),
        "{rounds} rounds in {lanes} lanes"
    );
    let mut world = World::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
    let stores = services(&world, &stop, &mut running).await?;
    let effects = look_into(&world.consumer).await?;

    let mut holding = JoinSet::new();
    for number in 0..lanes {
        let lane = Lane {
            name: format!("{RUN}-{number}"),
            // Those that pass by are another process's.
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
        world.take_in(&said);
        passed.extend(of_lane);
    }
    let begun = Instant::now();
    let last = [&effects, stores[0].connection()];
    if lane::all_have_effects(last, patience).await? {
        world.take_in(&format!("quiet {}\n", begun.elapsed().as_millis()));
    }
    stop.cancel();
    let ending = async { while running.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(10), ending).await;

    let verdict = world.verdict(RUN, true).await?;
    let in_time = passed.iter().filter(|late| late.took.is_some()).count();
    let slowest = passed.iter().filter_map(|late| late.took).max();
    let least = passed.iter().map(|late| late.by).min().unwrap_or(0);
    let kept = in_time == rounds && least >= lanes;
    println!(
        "late-commit{}: {in_time} of {rounds} transactions, each held open for {held:?} and passed by at least {least} others, had \
         their effect within {SOON:?} of their commit; the slowest within {:.2} s",
        if kept { "" } else { " WRONG" },
        slowest.unwrap_or_default().as_secs_f64(),
    );
    Ok(Verdict {
        wrong: usize::from(!kept),
        ..verdict
    })
}

/// The stores of what commits, each with a relay that looks as seldom as in production: at most one of them publishes, and the
/// others tell it. And one consumer, which keeps order.
async fn services(
    world: &World,
    stop: &CancellationToken,
    running: &mut JoinSet<()>,
) -> Result<Vec<Store>> {
    let consuming = world.transport().await?;
    consuming.declare().await?;
    let consumer = Consumer::new(
        Store::new(world.consumer.connect().await),
        Wire::before(consuming.clone(), &world.wire(RUN), 0)?,
        deposit::subscriptions(false),
        ConsumerConfig::default(),
    );
    running.spawn(consumer.run(stop.clone()));
    let mut stores = Vec::new();
    for _ in 0..STORES {
        let store = Store::new(world.producer.connect().await);
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
