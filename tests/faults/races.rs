//! The same thing at the same moment: many callers with one command, and two consumers with one event. It is done once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use messaging::transport::Confirmation;
use messaging::{Consumer, ConsumerConfig, Relay, RelayConfig, Store};
use testkit::{Broker, BrokerKind, Database, StoreKind, eventually};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checker::{Entry, History, Verdict, judge};
use crate::ledger::commands::{self, Command};
use crate::poison::wrong;
use crate::tables::{self, Migrator};
use crate::{deposit, world};

/// At the same moment.
const CALLERS: usize = 50;
/// Events that two consumers get, for each round.
const TWINS: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn run(rounds: usize, seed: u64, patience: Duration) -> Result<Verdict> {
    let servers = on(
        StoreKind::Postgres,
        BrokerKind::RabbitMq,
        rounds,
        seed,
        patience,
    )
    .await?;
    println!("races Postgres RabbitMq: {servers}");
    let files = on(
        StoreKind::Sqlite,
        BrokerKind::Embedded,
        rounds,
        seed,
        patience,
    )
    .await?;
    println!("races Sqlite Embedded: {files}");
    Ok(servers.and(&files))
}

async fn on(
    store: StoreKind,
    broker: BrokerKind,
    rounds: usize,
    seed: u64,
    patience: Duration,
) -> Result<Verdict> {
    let (producer, consumer) = (Database::create(store).await, Database::create(store).await);
    for database in [&producer, &consumer] {
        database.migrated::<Migrator>().await.close().await?;
    }
    let broker = Broker::create(broker).await;
    let consuming = broker.transport(deposit::consumer());
    consuming.declare().await?;
    let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
    let commanded = Store::new(producer.connect().await);
    let relay = Relay::new(
        commanded.clone(),
        broker.transport(deposit::producer()),
        RelayConfig::new("producer"),
    );
    running.spawn(relay.run(stop.clone()));
    for _ in 0..2 {
        // With a pool and a connection of its own, as in two processes; and each event on its own, so that the inbox alone
        // keeps a second effect out.
        let consumer = Consumer::new(
            Store::new(consumer.connect().await),
            broker.transport(deposit::consumer()),
            deposit::subscriptions(true),
            ConsumerConfig::default(),
        );
        running.spawn(consumer.run(stop.clone()));
    }

    for round in 0..rounds {
        call_at_once(&commanded, &format!("{seed}-{round}")).await?;
    }
    let twins = wrong::samples(rounds * TWINS, 0, 0, seed);
    let publisher = consuming.publisher().await?;
    for twin in &twins {
        // One after the other, so that each consumer gets one of them.
        let once = publisher.publish(&twin.message).await?;
        let twice = publisher.publish(&twin.message).await?;
        for confirm in [once, twice] {
            ensure!(confirm.await? == Confirmation::Routed);
        }
    }

    let begun = Instant::now();
    let effects = consumer.connect().await;
    let expected = i64::try_from(rounds + twins.len())?;
    let mut drain = None;
    while drain.is_none() && begun.elapsed() < patience {
        let seen = tables::number(&effects, "SELECT count(DISTINCT op) FROM effect").await?;
        drain = (seen >= expected).then(|| begun.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    // Whatever still lies in the queue would be the second of something.
    eventually("the queue is empty", async || {
        match broker.messages(deposit::QUEUE).await {
            0 => Ok(()),
            left => Err(left),
        }
    })
    .await;
    stop.cancel();
    while let Some(ended) = running.join_next().await {
        ended?;
    }

    let states = "SELECT op, account, version FROM deposit";
    let states = tables::rows(commanded.connection(), states, []).await?;
    let states: Result<Vec<Entry>> = states.iter().map(world::entry).collect();
    let mut states = states?;
    let commands = states.len();
    states.extend(twins.into_iter().filter_map(|twin| twin.effect));
    let made = "SELECT op, account, version FROM effect ORDER BY sequence";
    let made = tables::rows(&effects, made, []).await?;
    let made: Result<Vec<Entry>> = made.iter().map(world::entry).collect();
    let events = tables::number(commanded.connection(), "SELECT count(*) FROM outbox").await?;
    let is_right = commands == rounds && usize::try_from(events)? == rounds;
    println!(
        "races {store:?}:{} {rounds} times {CALLERS} equal calls at once: {commands} states, {events} events",
        if is_right { "" } else { " WRONG" }
    );
    let history = History {
        attempted: states.iter().map(|entry| entry.op.clone()).collect(),
        acknowledged: states.iter().map(|entry| entry.op.clone()).collect(),
        states,
        effects: made?,
        drain,
        ..History::default()
    };
    Ok(Verdict {
        wrong: usize::from(!is_right),
        ..judge(&history, false)
    })
}

/// Each of them goes on until it is told that it is done.
async fn call_at_once(store: &Store, op: &str) -> Result<()> {
    let command = Arc::new(Command {
        op: op.to_owned(),
        account: "shared".to_owned(),
    });
    let barrier = Arc::new(tokio::sync::Barrier::new(CALLERS));
    let mut calling = JoinSet::new();
    for _ in 0..CALLERS {
        let (store, command, barrier) = (store.clone(), Arc::clone(&command), Arc::clone(&barrier));
        calling.spawn(async move {
            barrier.wait().await;
            while commands::deposit(&store, &command).await.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    while let Some(called) = calling.join_next().await {
        called?;
    }
    Ok(())
}
