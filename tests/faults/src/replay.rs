//! The whole history is published twice more, and all dead letters are replayed twice: no effect changes.

use anyhow::{Context as _, Result, ensure};
use messaging::dead_letters::DeadLetters;
use messaging::transport::Confirmation;
use messaging::{Store, outbox};
use testkit::{BrokerKind, StoreKind, eventually};

use crate::checker::Verdict;
use crate::fixture::Fixture;
use crate::poison::wrong;
use crate::{deposit, tables};

/// The number of messages that can never be handled.
const DEAD: usize = 10;
const WHO: &str = "an operator";
const WHY: &str = "to see that nothing changes";

pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (run, patience) = (seed.to_string(), patience.to_string());
    let commands = if quick { "50" } else { "1000" };
    let args = ["--commands", commands, "--patience", &patience];
    publish_unreadable(&fixture, seed).await?;
    let first = fixture.workload(&run, &args)?;
    fixture.run(first).await?;

    let producer = Store::new(fixture.producer.connect().await);
    let consumer = fixture.consumer.connect().await;
    let letters = DeadLetters::new(Store::new(consumer.clone()), deposit::QUEUE);
    all_are_dead(&letters).await;
    let before = effects(&consumer, i64::MAX).await?;
    let last = before.last().context("there are effects")?.0;
    for _ in 0..2 {
        outbox::publish_again(&producer, 0).await?;
        let replayed = letters.replay_all(None, WHO, WHY).await?;
        ensure!(
            replayed == DEAD as u64,
            "{replayed} of {DEAD} dead letters were replayed"
        );
        let next = fixture.workload(&run, &args)?;
        fixture.run(next).await?;
        all_are_dead(&letters).await;
    }
    let unchanged = effects(&consumer, last).await? == before;
    println!(
        "replay:{} {} effects are unchanged",
        if unchanged { "" } else { " WRONG" },
        before.len()
    );
    for letter in letters.list(None, u32::MAX).await? {
        letters.discard(&letter.event_id, WHO, WHY).await?;
    }
    let verdict = fixture.verdict(&run, true).await?;
    ensure!(
        verdict.redelivered >= 2 * commands.parse::<usize>()?,
        "not all events were delivered again: {verdict}"
    );
    Ok(Verdict {
        wrong: usize::from(!unchanged),
        ..verdict
    })
}

async fn publish_unreadable(fixture: &Fixture, seed: u64) -> Result<()> {
    let transport = fixture.transport().await?;
    transport.declare().await?;
    let publisher = transport.publisher().await?;
    for sample in wrong::unreadable(DEAD, seed) {
        let confirm = publisher.publish(&sample.message).await?;
        ensure!(confirm.await? == Confirmation::Routed);
    }
    Ok(())
}

async fn all_are_dead(letters: &DeadLetters) {
    eventually("all these messages are dead", async || {
        let dead = letters.list(None, u32::MAX).await;
        match dead.map(|dead| dead.len()) {
            Ok(DEAD) => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

/// All columns of the effects up to `last`, in their order.
async fn effects(
    consumer: &store::Database,
    last: i64,
) -> Result<Vec<(i64, String, String, i64, i64)>> {
    let selecting = "SELECT sequence, op, account, version, made_at_ms FROM effect WHERE sequence <= $1 ORDER BY sequence";
    let rows = tables::rows(consumer, selecting, [last.into()]).await?;
    let row = |row: &sea_orm::QueryResult| {
        anyhow::Ok((
            row.try_get("", "sequence")?,
            row.try_get("", "op")?,
            row.try_get("", "account")?,
            row.try_get("", "version")?,
            row.try_get("", "made_at_ms")?,
        ))
    };
    rows.iter().map(row).collect()
}
