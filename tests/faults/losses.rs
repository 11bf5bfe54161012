//! Messages that the broker does not get, or does not get into a queue: they stay in the outbox until it does.

use anyhow::Result;
use testkit::{BrokerKind, StoreKind};

use crate::checker::Verdict;
use crate::world::World;

/// Connections that break with messages on their way.
pub(crate) async fn lossy(seed: u64, patience: u64) -> Result<Verdict> {
    run(seed, patience, &["--publish-losses", "17"]).await
}

/// A consumer that is there only after the first events are.
pub(crate) async fn unrouted(seed: u64, patience: u64) -> Result<Verdict> {
    run(seed, patience, &["--late-consumer"]).await
}

async fn run(seed: u64, patience: u64, args: &[&str]) -> Result<Verdict> {
    let mut world = World::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (run, patience) = (seed.to_string(), patience.to_string());
    let args = [args, &["--patience", &patience]].concat();
    let command = world.ledger(&run, &args)?;
    world.run(command).await?;
    world.verdict(&run, true).await
}
