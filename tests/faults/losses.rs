//! Messages that the broker does not get, or does not get into a queue: they stay in the outbox until it does.

use std::collections::HashSet;

use anyhow::Result;
use testkit::{BrokerKind, StoreKind};

use crate::checker::Verdict;
use crate::world::World;

/// Connections that break with messages on their way.
pub(crate) async fn lossy(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    // Each so-manieth is lost; a connection that breaks so often is made anew after a while only.
    let each = if quick { 17 } else { 50 };
    let losses = each.to_string();
    let (world, run) = run(seed, quick, patience, &["--publish-losses", &losses]).await?;
    let verdict = world.verdict(&run, true).await?;
    let delivered: HashSet<String> = world.delivered(&run)?.into_iter().collect();
    let lost = world.lost();
    let arrived = lost.iter().filter(|id| delivered.contains(*id)).count();
    let kept = arrived == lost.len() && lost.len() >= verdict.effects / each && arrived > 0;
    println!(
        "lossy:{} {} messages lost on their way, {arrived} of them delivered in the end",
        if kept { "" } else { " WRONG" },
        lost.len()
    );
    Ok(Verdict {
        wrong: usize::from(!kept),
        ..verdict
    })
}

/// A consumer that is there only after the first events are.
pub(crate) async fn unrouted(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let (world, run) = run(seed, quick, patience, &["--late-consumer"]).await?;
    world.verdict(&run, true).await
}

async fn run(seed: u64, quick: bool, patience: u64, args: &[&str]) -> Result<(World, String)> {
    let mut world = World::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (run, patience) = (seed.to_string(), patience.to_string());
    let commands = if quick { "24" } else { "500" };
    let common = ["--commands", commands, "--patience", &patience];
    let command = world.ledger(&run, &[args, &common].concat())?;
    world.run(command).await?;
    Ok((world, run))
}
