//! The database of the producer comes back from a backup. Its consumer has handled events that the producer has lost, and the producer
//! gives their versions to new events.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Result, ensure};
use messaging::repair::{Accepted, Received, Restored, Selection};
use testkit::{BrokerKind, StoreKind};

use super::{FOLLOWED, Side, load, number};
use crate::fixture::{Fixture, look_into};
use crate::repaired::{Repaired, by};
use crate::tables;

const PAGE: u16 = 100;
/// A load that must not become quiet: events that are refused wait for the operator.
const IMPATIENT: &str = "5";
const CHECKPOINT: &str = "SELECT cast(coalesce(max(number), 0) AS bigint) FROM angarium_checkpoint";

/// Lost events by account, and the last version that both know.
type Lost = BTreeMap<String, (Vec<Received>, i64)>;

/// Returns how many checks have failed.
pub(super) async fn run(
    store: StoreKind,
    broker: BrokerKind,
    seed: u64,
    commands: u32,
    patience: u64,
) -> Result<usize> {
    let mut fixture = Fixture::new(store, broker).await?;
    let (run, patience) = (format!("{seed}-producer"), patience.to_string());
    load(&mut fixture, &run, commands, &patience).await?;
    let before = number(&fixture, Side::Producer, CHECKPOINT).await?;
    let backup = fixture.producer.backup().await;
    let mut given = commands;
    // Until the consumer has followed a checkpoint that the producer loses.
    while number(&fixture, Side::Consumer, FOLLOWED).await? <= before {
        ensure!(given < 50 * commands, "no checkpoint is published");
        given += commands;
        load(&mut fixture, &run, given, &patience).await?;
    }
    fixture.producer.restore(&backup).await;
    let expected = unknown_to_the_producer(&fixture).await?;
    load(&mut fixture, &run, given + commands, IMPATIENT).await?;

    let (producer, consumer) = (
        look_into(&fixture.producer).await?,
        look_into(&fixture.consumer).await?,
    );
    let repaired = Repaired::of(&producer, &consumer);
    let is_noticed = repaired.repair.diverged().await?.len() == 1;
    let lost = lost(&repaired).await?;
    let named = lost.values().flat_map(|(events, _)| events);
    let named: HashSet<String> = named.map(|event| event.event_id.clone()).collect();
    let is_exact = named == expected && !expected.is_empty();
    for (account, (events, version)) in &lost {
        accept(&repaired, account, events, *version).await?;
    }
    let ended = repaired.repair.accept_divergence("producer", &by()).await?;
    producer.close().await?;
    consumer.close().await?;

    load(&mut fixture, &run, given + 2 * commands, &patience).await?;
    let (producer, consumer) = (
        look_into(&fixture.producer).await?,
        look_into(&fixture.consumer).await?,
    );
    let repaired = Repaired::of(&producer, &consumer);
    let left = lacks(&repaired, &producer, &consumer).await?;
    let sound = is_noticed && is_exact && ended && left == 0;
    println!(
        "restored:{} the producer, {store:?}: {} events are lost, {} are named, the alert is there: {is_noticed}; \
         after the decision {left} checks fail",
        if sound { "" } else { " WRONG" },
        expected.len(),
        named.len()
    );
    producer.close().await?;
    consumer.close().await?;
    Ok(usize::from(!sound))
}

/// The events in the inbox that the producer does not have.
async fn unknown_to_the_producer(fixture: &Fixture) -> Result<HashSet<String>> {
    let ids = async |database, reading| {
        let db = look_into(database).await?;
        let rows = tables::rows(&db, reading, []).await?;
        let ids: Result<HashSet<String>, _> =
            rows.iter().map(|row| row.try_get("", "event_id")).collect();
        db.close().await?;
        anyhow::Ok(ids?)
    };
    let received = "SELECT {text event_id} AS event_id FROM angarium_inbox";
    let known = "SELECT {text event_id} AS event_id FROM angarium_events";
    let received = ids(&fixture.consumer, received).await?;
    let known = ids(&fixture.producer, known).await?;
    Ok(received.difference(&known).cloned().collect())
}

/// As `angarium reconcile divergence` finds them.
async fn lost(repaired: &Repaired) -> Result<Lost> {
    let (mut lost, mut common) = (Lost::new(), BTreeMap::<String, i64>::new());
    let mut after = None;
    loop {
        let page = repaired.repair.received("producer", 0, after, PAGE).await?;
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.event_id.parse()?);
        let found = repaired.history.lost(&page).await?;
        for event in page {
            if found.iter().any(|lost| lost.event == event) {
                let of_account = lost.entry(event.aggregate_id.clone()).or_default();
                of_account.0.push(event);
            } else if event.handled {
                let version = common.entry(event.aggregate_id).or_default();
                *version = event.version.max(*version);
            }
        }
    }
    for (account, (events, version)) in &mut lost {
        let first = events.iter().map(|event| event.version).min();
        let received = common.get(account).copied().unwrap_or(0);
        *version = received.max(first.unwrap_or(1) - 1);
    }
    Ok(lost)
}

async fn accept(
    repaired: &Repaired,
    account: &str,
    events: &[Received],
    version: i64,
) -> Result<()> {
    let accepted = Accepted {
        restored: Restored {
            aggregate_type: "account",
            aggregate_id: account,
            version,
            exists: false,
        },
        state: None,
        lost: events.iter().map(|event| event.event_id.clone()).collect(),
    };
    repaired.repair.accept_state(&accepted, None, &by()).await?;
    let later = Selection::Aggregate {
        aggregate_type: "account".to_owned(),
        aggregate_id: account.to_owned(),
        from: version + 1,
    };
    repaired.hand_over_all(&later).await?;
    Ok(())
}

/// How many of the checks fail: each event of the producer is handled, the consumer is where the producer is, nothing is lost or dead.
async fn lacks(
    repaired: &Repaired,
    producer: &store::Database,
    consumer: &store::Database,
) -> Result<usize> {
    let versions = async |db, reading| {
        let rows = tables::rows(db, reading, []).await?;
        let version = |row: &sea_orm::QueryResult| {
            anyhow::Ok((
                row.try_get::<String>("", "id")?,
                row.try_get::<i64>("", "version")?,
            ))
        };
        rows.iter().map(version).collect::<Result<BTreeMap<_, _>>>()
    };
    let accounts = versions(producer, "SELECT id, version FROM account").await?;
    let positions = "SELECT aggregate_id AS id, version FROM angarium_position";
    let positions = versions(consumer, positions).await?;
    let dead = "SELECT count(*) FROM angarium_inbox WHERE state <> 'done'";
    let checks = [
        repaired.lacking().await?.is_empty(),
        accounts == positions,
        lost(repaired).await?.is_empty(),
        tables::number(consumer, dead).await? == 0,
        repaired.repair.diverged().await?.is_empty(),
    ];
    Ok(checks.iter().filter(|passed| !**passed).count())
}
