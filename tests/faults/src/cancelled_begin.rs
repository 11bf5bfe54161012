//! Callers that give up at any moment of a call, mostly at its BEGIN. Each command is repeated until it is acknowledged. Then it
//! has one state and one effect, and no session of the pools is left in a transaction.

use std::time::{Duration, Instant};

use anyhow::Result;
use messaging::{Consumer, ConsumerConfig, Relay, RelayConfig, Store};
use testkit::{BrokerKind, Database, Proxy, StoreKind};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checker::Verdict;
use crate::deposit;
use crate::fixture::{Fixture, look_into};
use crate::tables;
use crate::wire::Wire;
use crate::workload::commands::{self, Command};

/// The name of the run.
const RUN: &str = "cancelled";
const WRITERS: u32 = 8;
/// Sessions of each pool: fewer than writers, so that each session is used again at once.
const SESSIONS: u32 = 6;
const ACCOUNTS: u32 = 20;
/// The delay in each direction to a server.
const DELAY: Duration = Duration::from_millis(10);
/// A session that is idle in a transaction for longer was left there.
const LEFT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn run(seed: u64, quick: bool, patience: Duration) -> Result<Verdict> {
    let commands = if quick { 10 } else { 250 };
    let servers = on(
        StoreKind::Postgres,
        BrokerKind::RabbitMq,
        (commands, seed, patience),
    )
    .await?;
    println!("cancelled-begin Postgres RabbitMq: {servers}");
    let files = on(
        StoreKind::Sqlite,
        BrokerKind::Embedded,
        (commands, seed, patience),
    )
    .await?;
    println!("cancelled-begin Sqlite Embedded: {files}");
    Ok(servers.and(&files))
}

async fn on(
    store: StoreKind,
    broker: BrokerKind,
    (commands, seed, patience): (u32, u64, Duration),
) -> Result<Verdict> {
    let mut fixture = Fixture::new(store, broker).await?;
    let (producer, producer_way) = connect(&fixture.producer).await;
    let (consumer, consumer_way) = connect(&fixture.consumer).await;
    let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
    serve(&fixture, &producer, consumer, &stop, &mut running).await?;
    for way in [&producer_way, &consumer_way].into_iter().flatten() {
        way.delay(DELAY, Duration::ZERO);
    }
    // A file answers faster than a server.
    let soon = match store {
        StoreKind::Postgres => DELAY * 8,
        StoreKind::Sqlite => Duration::from_millis(2),
    };
    let mut writing = JoinSet::new();
    for writer in 0..WRITERS {
        let random = fastrand::Rng::with_seed(seed + u64::from(writer));
        writing.spawn(write(producer.clone(), writer, commands, soon, random));
    }
    let mut given_up = 0;
    while let Some(written) = writing.join_next().await {
        let (said, times) = written?;
        fixture.take_in(&said);
        given_up += times;
    }
    let begun = Instant::now();
    let looks = [
        look_into(&fixture.producer).await?,
        look_into(&fixture.consumer).await?,
    ];
    if is_quiet_within(patience, &looks).await? {
        fixture.take_in(&format!("quiet {}\n", begun.elapsed().as_millis()));
    }
    // A later call would end a transaction that was left open, so all of the last calls give up.
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..SESSIONS * 4 {
        // Usually after the check of the session and before the answer to BEGIN.
        let limit = soon.mul_f64(0.25 + random.f64() / 4.0);
        given_up += usize::from(tokio::time::timeout(limit, producer.begin()).await.is_err());
    }
    let open = left_open(&looks[0]).await? + left_open(&looks[1]).await?;
    for look in looks {
        look.close().await?;
    }
    stop.cancel();
    let ending = async { while running.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(10), ending).await;

    let verdict = fixture.verdict(RUN, true).await?;
    let kept = open == 0 && given_up > 0;
    println!(
        "cancelled-begin{}: callers gave up {given_up} times, {open} sessions are left in a transaction",
        if kept { "" } else { " WRONG" },
    );
    Ok(Verdict {
        wrong: usize::from(!kept),
        ..verdict
    })
}

/// A pool with few sessions, and the proxy that delays the link to a server.
async fn connect(database: &Database) -> (Store, Option<Proxy>) {
    let proxy = match database.kind() {
        StoreKind::Postgres => Some(Proxy::before(database.url()).await),
        StoreKind::Sqlite => None,
    };
    let url = proxy.as_ref().map_or(database.url(), Proxy::url);
    let db = database.connect_by(url, SESSIONS).await;
    (Store::new(db), proxy)
}

async fn serve(
    fixture: &Fixture,
    producer: &Store,
    consumer: Store,
    stop: &CancellationToken,
    running: &mut JoinSet<()>,
) -> Result<()> {
    let transport = fixture.transport().await?;
    transport.declare().await?;
    let consumer = Consumer::new(
        consumer,
        Wire::before(transport.clone(), &fixture.wire(RUN), 0)?,
        deposit::subscriptions(false),
        ConsumerConfig::default(),
    );
    running.spawn(consumer.run(stop.clone()));
    let relay = Relay::new(producer.clone(), transport, RelayConfig::new("producer"));
    running.spawn(relay.run(stop.clone()));
    Ok(())
}

/// What a caller attempted and got acknowledged, in the form of the workload's output, and how often it gave up.
async fn write(
    store: Store,
    writer: u32,
    commands: u32,
    soon: Duration,
    mut random: fastrand::Rng,
) -> (String, usize) {
    let (mut said, mut given_up) = (String::new(), 0);
    for number in 0..commands {
        let command = Command {
            op: format!("{RUN}-{writer}-{number}"),
            account: commands::account(RUN, random.u32(..ACCOUNTS)),
        };
        said += &format!("try {}\n", command.op);
        loop {
            // Half of the calls give up early; the others usually have time to finish.
            let limit = if random.bool() {
                soon.mul_f64(random.f64())
            } else {
                Duration::from_secs(10)
            };
            let answer = tokio::time::timeout(limit, commands::deposit(&store, &command)).await;
            given_up += usize::from(answer.is_err());
            match answer {
                Ok(Ok(())) => break,
                Ok(Err(error)) => eprintln!("{}: {error}", command.op),
                Err(_) => (),
            }
        }
        said += &format!("ok {} 0\n", command.op);
    }
    (said, given_up)
}

/// Whether everything that was committed has its effect in time.
async fn is_quiet_within(
    patience: Duration,
    [producer, consumer]: &[store::Database; 2],
) -> Result<bool> {
    let pending = "SELECT count(*) FROM angarium_outbox";
    let begun = Instant::now();
    while begun.elapsed() < patience {
        let deposits = tables::number(producer, "SELECT count(*) FROM deposit").await?;
        let effects = tables::number(consumer, "SELECT count(*) FROM effect").await?;
        if effects >= deposits && tables::number(producer, pending).await? == 0 {
            return Ok(true);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(false)
}

/// How many sessions are left in a transaction. On SQLite one such session would have blocked all other writers.
async fn left_open(database: &store::Database) -> Result<i64> {
    if database.get_database_backend() == sea_orm::DbBackend::Sqlite {
        return Ok(0);
    }
    tokio::time::sleep(2 * LEFT).await;
    let left = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
         AND state LIKE 'idle in transaction%' AND state_change < now() - interval '{} seconds'",
        LEFT.as_secs()
    );
    tables::number(database, &left).await
}
