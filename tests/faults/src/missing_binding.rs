//! The binding of one consumer goes missing under load, while another queue takes the same events.
//!
//! The broker confirms these events, because the other queue has them. The checkpoints show what is lost, an operator binds the queue
//! again, and the repair hands the events over from the producer's history, under load (I10).

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use messaging::Subscriptions;
use messaging::transport::Topology;
use testkit::{BrokerKind, StoreKind};

use crate::checker::Verdict;
use crate::deposit::{self, Deposited};
use crate::fixture::Fixture;
use crate::load_process::LoadProcess;
use crate::repaired::Repaired;
use crate::tables;
use crate::watch::{Recovery, Watch};
use crate::workload::effects;

const OTHER: &str = "audits_queue";
const RECOVERY: Recovery = Recovery {
    resumes: Duration::from_secs(15),
    drains: Duration::from_secs(60),
};
/// Each event that waited behind a gap needs its own transaction.
const REPAIR: Recovery = Recovery {
    resumes: Duration::from_secs(15),
    drains: Duration::from_secs(180),
};
const CALM: Duration = Duration::from_secs(30);

pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    fixture.transport_of(other()).await?.declare().await?;
    let (run, text) = (seed.to_string(), patience.to_string());
    let args = ["--rate", "40", "--writers", "4", "--accounts", "10"];
    let mut load = fixture.load(&run, &[&args[..], &["--patience", &text]].concat())?;
    let mut watch = Watch::over(&fixture, "missing-binding").await?;
    watch
        .recovers(&mut load, RECOVERY, &mut Recovery::none())
        .await?;
    // A consumer expects the events of a binding from the second checkpoint on.
    follows(&watch, 3).await?;

    let times = if quick { 1 } else { 5 };
    let mut unshown = 0;
    for _ in 0..times {
        unshown += lose_and_repair(&fixture, &mut load, &mut watch).await?;
    }
    fixture.end(load, patience).await?;
    let lacking = Repaired::new(&watch).lacking().await?.len();
    watch.judge(
        lacking == 0,
        &format!("at the end {lacking} published events are not in the inbox"),
    );
    let verdict = fixture.verdict(&run, true).await?;
    let verdict = watch.close(verdict).await?;
    Ok(Verdict { unshown, ..verdict })
}

/// Returns how many lost events are not shown.
async fn lose_and_repair(
    fixture: &Fixture,
    load: &mut LoadProcess,
    watch: &mut Watch,
) -> Result<usize> {
    let broker = fixture.broker.as_ref().context("there is a broker")?;
    let (begun, repaired) = (Instant::now(), Repaired::new(watch));
    let queue = deposit::subscriptions(false).queue();
    let bindings = queue.bindings.iter();
    let events = bindings.filter(|binding| binding.pattern.contains('#'));
    for binding in events {
        let (exchange, pattern) = (&binding.exchange, &binding.pattern);
        broker.unbind(&queue.name, exchange, pattern).await;
    }
    let lost = async {
        while repaired.lacking().await?.len() < 20 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(CALM, lost)
        .await
        .context("no event is lost without its binding")??;
    // As an operator who imports the definitions again.
    fixture.transport().await?.declare().await?;
    let lost = settled(&repaired).await?;
    watch.calls(load, begun, "without the binding");

    let unshown = repaired.unshown(&lost).await?;
    let handed = repaired.hand_over().await?;
    watch.judge(
        !lost.is_empty() && unshown == 0 && handed >= lost.len() as u64,
        &format!(
            "a binding was missing: {} events are lost, {unshown} of them are not shown; {handed} handed over",
            lost.len()
        ),
    );
    // An event that is not shown keeps those behind it waiting.
    if unshown == 0 {
        let mut longest = Recovery::none();
        watch.recovers(load, REPAIR, &mut longest).await?;
        watch.recovered("the lost events were handed over", longest);
    }
    Ok(unshown)
}

/// The lost events: those that are still not there after a while, with the binding.
async fn settled(repaired: &Repaired) -> Result<HashSet<String>> {
    let mut before = repaired.lacking().await?;
    let begun = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        // New ones may be on their way.
        let still: HashSet<String> = repaired
            .lacking()
            .await?
            .intersection(&before)
            .cloned()
            .collect();
        if still == before {
            return Ok(still);
        }
        ensure!(begun.elapsed() < CALM, "the queue gets no events");
        before = still;
    }
}

/// Waits until the consumer has followed a checkpoint with this number or a later one.
async fn follows(watch: &Watch, number: i64) -> Result<()> {
    let followed =
        "SELECT cast(coalesce(max(number), 0) AS bigint) FROM angarium_checkpoint_stream";
    let reached = async {
        while tables::number(&watch.consumer, followed).await? < number {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(CALM, reached)
        .await
        .context("no checkpoint arrives")?
}

/// Another consumer of the same events. Nothing reads its queue.
fn other() -> Topology {
    let subscriptions = Subscriptions::new(OTHER).on::<Deposited>(effects::record);
    Topology::default().consuming(subscriptions.queue())
}
