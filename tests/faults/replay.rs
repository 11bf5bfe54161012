//! The whole outbox, published twice more: nothing changes.

use anyhow::{Result, ensure};
use testkit::{BrokerKind, StoreKind};

use crate::checker::Verdict;
use crate::tables;
use crate::world::World;

pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let mut world = World::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (run, patience) = (seed.to_string(), patience.to_string());
    let commands = if quick { "50" } else { "1000" };
    let args = ["--commands", commands, "--patience", &patience];
    let first = world.ledger(&run, &args)?;
    world.run(first).await?;
    for _ in 0..2 {
        let db = world.producer.connect().await;
        let again = "UPDATE outbox SET published_at_ms = NULL, due_at_ms = 0";
        tables::execute(&db, again, []).await?;
        db.close().await?;
        let next = world.ledger(&run, &args)?;
        world.run(next).await?;
    }
    let verdict = world.verdict(&run, true).await?;
    ensure!(
        verdict.redelivered >= 2 * commands.parse::<usize>()?,
        "not all was delivered again: {verdict}"
    );
    Ok(verdict)
}
