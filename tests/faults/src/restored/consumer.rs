//! The database of the consumer comes back from a backup. Its inbox lacks what it handled since then, and its effects are gone with it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use testkit::{BrokerKind, StoreKind};

use super::{FOLLOWED, Side, args, load, number};
use crate::checker::Verdict;
use crate::fixture::{Fixture, look_into};
use crate::repaired::Repaired;
use crate::tables;

const CALM: Duration = Duration::from_secs(60);

pub(super) async fn run(
    store: StoreKind,
    broker: BrokerKind,
    seed: u64,
    commands: u32,
    patience: u64,
) -> Result<Verdict> {
    let mut fixture = Fixture::new(store, broker).await?;
    let (run, patience) = (format!("{seed}-consumer"), patience.to_string());
    let mut given = commands;
    load(&mut fixture, &run, given, &patience).await?;
    // A consumer expects the events of a binding from the second checkpoint on.
    while number(&fixture, Side::Consumer, FOLLOWED).await? < 2 {
        ensure!(given < 50 * commands, "no checkpoint is published");
        given += commands;
        load(&mut fixture, &run, given, &patience).await?;
    }
    let backup = fixture.consumer.backup().await;
    load(&mut fixture, &run, given + commands, &patience).await?;
    fixture.consumer.restore(&backup).await;

    let (producer, consumer) = (
        look_into(&fixture.producer).await?,
        look_into(&fixture.consumer).await?,
    );
    let repaired = Repaired::of(&producer, &consumer);
    let gone = repaired.lacking().await?;
    // The services run, and the load goes on during the repair.
    let more = (given + 2 * commands).to_string();
    let load = fixture.workload(&run, &args(&more, &patience))?;
    let repairing = async {
        let unshown = repaired.unshown(&gone).await?;
        anyhow::Ok((unshown, repaired.hand_over().await?))
    };
    let (ended, repairing) = tokio::join!(fixture.run(load), repairing);
    let ((unshown, handed), ended) = (repairing?, ended?);
    let lacking = repaired.lacking().await?.len();
    let sound = !gone.is_empty() && unshown == 0 && lacking == 0 && ended.was_quiet();
    println!(
        "restored:{} the consumer, {store:?}: {} events are gone with its database, {unshown} of them are not shown; \
         {handed} handed over, {lacking} are not in the inbox at the end",
        if sound { "" } else { " WRONG" },
        gone.len()
    );
    let mut verdict = fixture.verdict(&run, true).await?;
    verdict.unshown += unshown;
    verdict.wrong += usize::from(!sound);
    wait_for_no_gap(&consumer).await?;
    producer.close().await?;
    consumer.close().await?;
    Ok(verdict)
}

/// The repair has followed all lost checkpoints.
async fn wait_for_no_gap(consumer: &store::Database) -> Result<()> {
    let begun = Instant::now();
    let gaps = "SELECT count(*) FROM angarium_checkpoint_gap";
    while tables::number(consumer, gaps).await? > 0 {
        let left = CALM.checked_sub(begun.elapsed());
        left.context("a gap of checkpoints is left")?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
