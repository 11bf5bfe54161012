//! Messages that do not reach the broker, or reach no queue: their events stay in the outbox until they do.

use std::collections::HashSet;

use anyhow::Result;
use testkit::{BrokerKind, StoreKind};

use crate::checker::Verdict;
use crate::fixture::Fixture;

/// Connections that break while messages are on the way.
pub(crate) async fn lossy(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    // Every Nth is lost. A larger N for more commands, because each loss costs a connection and a pause.
    let each = if quick { 17 } else { 50 };
    let losses = each.to_string();
    let (fixture, run) = run(seed, quick, patience, &["--publish-losses", &losses]).await?;
    let verdict = fixture.verdict(&run, true).await?;
    let delivered: HashSet<String> = fixture.delivered(&run)?.into_iter().collect();
    let lost = fixture.lost();
    let arrived = lost.iter().filter(|id| delivered.contains(*id)).count();
    let kept = arrived == lost.len() && lost.len() >= verdict.effects / each && arrived > 0;
    println!(
        "lossy:{} {} messages were lost on the way, {arrived} of them were delivered later",
        if kept { "" } else { " WRONG" },
        lost.len()
    );
    Ok(Verdict {
        wrong: usize::from(!kept),
        ..verdict
    })
}

/// A consumer that starts after the first events.
pub(crate) async fn unrouted(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let (fixture, run) = run(seed, quick, patience, &["--late-consumer"]).await?;
    fixture.verdict(&run, true).await
}

async fn run(seed: u64, quick: bool, patience: u64, args: &[&str]) -> Result<(Fixture, String)> {
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (run, patience) = (seed.to_string(), patience.to_string());
    let commands = if quick { "24" } else { "500" };
    let common = ["--commands", commands, "--patience", &patience];
    let command = fixture.workload(&run, &[args, &common].concat())?;
    fixture.run(command).await?;
    Ok((fixture, run))
}
