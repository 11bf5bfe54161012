//! The same thing at the same moment: one command from many callers, and one event at two consumers. It is done once.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use load::Answers;
use messaging::transport::Confirmation;
use messaging::{Consumer, ConsumerConfig, Relay, RelayConfig, Store};
use tempfile::TempDir;
use testkit::{Broker, BrokerKind, Database, StoreKind, eventually_is};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checker::{Entry, History, Verdict, judge};
use crate::poison::wrong;
use crate::tables::{self, Migrator};
use crate::wire::{self, Wire};
use crate::{deposit, fixture};

mod beside;
mod calls;

use beside::Beside;
use calls::CALLERS;

/// Events without a command in each round.
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
    let folder = TempDir::new()?;
    let records = ["one", "other"].map(|consumer| folder.path().join(consumer));
    let ways = [broker.transport(deposit::consumer()), Beside::of(&broker)];
    for (way, record) in ways.into_iter().zip(&records) {
        way.declare().await?;
        // With its own pool and connection, as in two processes. Each event on its own, so that only the inbox keeps a second
        // effect out.
        let consumer = Consumer::new(
            Store::new(consumer.connect().await),
            Wire::before(way, record, 0)?,
            deposit::subscriptions(true),
            ConsumerConfig::default(),
        );
        running.spawn(consumer.run(stop.clone()));
    }

    let mut answered_alike = 0;
    for round in 0..rounds {
        let alike = calls::at_once(&commanded, &format!("{seed}-{round}")).await?;
        answered_alike += usize::from(alike);
    }
    let twins = wrong::samples(rounds * TWINS, 0, 0, seed);
    let mut ids: Vec<String> = twins.iter().map(|twin| twin.event_id.clone()).collect();
    let publisher = consuming.publisher().await?;
    for twin in &twins {
        let confirm = publisher.publish(&twin.message).await?;
        ensure!(confirm.await? == Confirmation::Routed);
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
    for queue in [deposit::QUEUE, beside::QUEUE] {
        // A message that is still in a queue could become a second effect.
        eventually_is("an empty queue", 0, async || broker.messages(queue).await).await;
    }
    stop.cancel();
    while let Some(ended) = running.join_next().await {
        ended?;
    }

    let states = "SELECT op, account, version FROM deposit";
    let states = tables::rows(commanded.connection(), states, []).await?;
    let states: Result<Vec<Entry>> = states.iter().map(fixture::entry).collect();
    let mut states = states?;
    let commands = states.len();
    states.extend(twins.into_iter().filter_map(|twin| twin.effect));
    let made = "SELECT op, account, version FROM effect ORDER BY sequence";
    let made = tables::rows(&effects, made, []).await?;
    let made: Result<Vec<Entry>> = made.iter().map(fixture::entry).collect();
    let events = tables::number(
        commanded.connection(),
        "SELECT count(*) FROM angarium_events",
    )
    .await?;
    let is_right =
        answered_alike == rounds && commands == rounds && usize::try_from(events)? == rounds;
    println!(
        "races {store:?}:{} {rounds} times {CALLERS} simultaneous calls with one request_id: {commands} states, {events} events; \
         {answered_alike} times all got the same answer, and a call with other content was refused",
        word(is_right)
    );
    let sent = "SELECT {text event_id} AS event_id FROM angarium_events";
    for row in tables::rows(commanded.connection(), sent, []).await? {
        ids.push(row.try_get_by_index(0)?);
    }
    ids.sort_unstable();
    let each_once = delivered(&records[0])? == ids && delivered(&records[1])? == ids;
    println!(
        "races {store:?}:{} each of {} events was delivered once to each of two consumers",
        word(each_once),
        ids.len()
    );
    let history = History {
        answers: Answers::all_acknowledged(states.iter().map(|entry| entry.op.clone())),
        states,
        effects: made?,
        drain,
        ..History::default()
    };
    Ok(Verdict {
        wrong: usize::from(!is_right) + usize::from(!each_once),
        ..judge(&history, false)
    })
}

/// The sorted ids of the deliveries.
fn delivered(record: &Path) -> Result<Vec<String>> {
    let deliveries = wire::read(record)?.into_iter();
    let mut ids: Vec<String> = deliveries.map(|delivery| delivery.id).collect();
    ids.sort_unstable();
    Ok(ids)
}

fn word(is_right: bool) -> &'static str {
    if is_right { "" } else { " WRONG" }
}
