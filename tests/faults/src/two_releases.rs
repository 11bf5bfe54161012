//! An old and a new release of one consumer on one queue, while the producer publishes events of a type that only the new one
//! knows: every event has its effect once, and without a gap, whichever release received it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use load::Answers;
use messaging::{Cause, Relay, RelayConfig, Store, outbox};
use testkit::{BrokerKind, StoreKind};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checker::{Entry, History, Verdict, judge};
use crate::deposit::{self, Collected, Deposited};
use crate::fixture::{Fixture, entries};
use crate::tables;

const ACCOUNTS: i64 = 20;
const PAUSE: Duration = Duration::from_millis(20);
const HELD: &str = "SELECT count(*) FROM angarium_inbox WHERE state <> 'done'";

pub(crate) async fn run(quick: bool, patience: Duration) -> Result<Verdict> {
    // Of each of the two types.
    let events = if quick { 100 } else { 1000 };
    let in_order = one(false, events, patience).await?;
    println!("two-releases in order: {in_order}");
    let each = one(true, events, patience).await?;
    println!("two-releases each on its own: {each}");
    Ok(in_order.and(&each))
}

async fn one(each: bool, events: i64, patience: Duration) -> Result<Verdict> {
    let fixture = Fixture::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    fixture.transport().await?.declare().await?;
    let consumer = fixture.consumer.connect().await;
    let producer = Store::new(fixture.producer.connect().await);
    let relay = Relay::new(
        producer.clone(),
        fixture.transport_of(deposit::producer()).await?,
        RelayConfig::new("producer"),
    );
    let (stop, mut relays) = (CancellationToken::new(), JoinSet::new());
    relays.spawn(relay.run(stop.clone()));

    let start = |release| {
        let mut args = vec!["--role", "consumer", "--release", release];
        args.extend(each.then_some("--each"));
        fixture.load(release, &args)
    };
    let versions = 2 * events / ACCOUNTS;
    let mut states = publish(&producer, 1..=versions / 2).await?;
    let mut old = start("old")?;
    let received = "SELECT count(*) FROM angarium_inbox";
    until(&consumer, received, states.len(), patience).await?;
    let waiting = tables::number(&consumer, HELD).await?;
    ensure!(
        waiting > 0,
        "the old release knew every type, so the run proves nothing"
    );
    let mut new = start("new")?;
    states.extend(publish(&producer, versions / 2 + 1..=versions).await?);
    let begun = Instant::now();
    let effects = "SELECT count(DISTINCT op) FROM effect";
    let quiet = until(&consumer, effects, states.len(), patience).await;
    let drain = quiet.is_ok().then(|| begun.elapsed());
    for release in [&mut old, &mut new] {
        release.check()?;
    }
    for (name, release) in [("old", old), ("new", new)] {
        ensure!(
            !fixture.delivered(name)?.is_empty(),
            "the {name} release received nothing, so the run proves nothing"
        );
        release.kill().await?;
    }
    stop.cancel();
    while relays.join_next().await.is_some() {}

    let ordered = "SELECT op, account, version FROM effect ORDER BY sequence";
    let pending = "SELECT count(*) FROM angarium_outbox";
    let history = History {
        answers: Answers::all_acknowledged(states.iter().map(|state| state.op.clone())),
        states,
        effects: entries(&consumer, ordered).await?,
        pending: usize::try_from(tables::number(producer.connection(), pending).await?)?,
        held: usize::try_from(tables::number(&consumer, HELD).await?)?,
        drain,
        ..History::default()
    };
    consumer.close().await?;
    Ok(judge(&history, !each))
}

/// Publishes one event of each account for each version: the odd ones are deposits, the even ones of the newer type.
async fn publish(store: &Store, versions: std::ops::RangeInclusive<i64>) -> Result<Vec<Entry>> {
    let mut states = Vec::new();
    for version in versions {
        let transaction = store.begin_command().await?;
        for number in 0..ACCOUNTS {
            let account = format!("account-{number}");
            let op = format!("{account}-{version}");
            let cause = Cause::call(op.clone());
            if version % 2 == 0 {
                let collected = Collected {
                    account: account.clone(),
                    op: op.clone(),
                };
                outbox::enqueue(&transaction, &collected, version, &cause)?;
            } else {
                let deposited = Deposited {
                    account: account.clone(),
                    op: op.clone(),
                    ..Deposited::default()
                };
                outbox::enqueue(&transaction, &deposited, version, &cause)?;
            }
            states.push(Entry {
                op,
                account,
                version,
            });
        }
        transaction.commit().await?;
    }
    Ok(states)
}

/// Waits until this statement counts at least `expected`.
async fn until(
    db: &store::Database,
    count: &str,
    expected: usize,
    patience: Duration,
) -> Result<()> {
    let begun = Instant::now();
    loop {
        let found = usize::try_from(tables::number(db, count).await?)?;
        if found >= expected {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < patience,
            "{found} of {expected} after {patience:?}: {count}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}
