//! Restored databases. A restored consumer gets again what it handled after the backup. A restored producer has lost events that its
//! consumer has handled: they are named, and an operator's decision makes the consumer follow it.
//!
//! Both parts run on both stacks.

use anyhow::Result;
use testkit::{BrokerKind, StoreKind};

use crate::checker::Verdict;
use crate::fixture::{Fixture, look_into};
use crate::tables;

mod consumer;
mod producer;

/// Few accounts, so that each has lost versions.
const ACCOUNTS: &str = "4";
const FOLLOWED: &str =
    "SELECT cast(coalesce(max(number), 0) AS bigint) FROM angarium_checkpoint_stream";

pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let commands = if quick { 40 } else { 400 };
    let mut all: Option<Verdict> = None;
    for (store, broker) in [
        (StoreKind::Postgres, BrokerKind::RabbitMq),
        (StoreKind::Sqlite, BrokerKind::Embedded),
    ] {
        let restored = consumer::run(store, broker, seed, commands, patience).await?;
        let verdict = match all {
            Some(before) => before.and(&restored),
            None => restored,
        };
        let wrong = producer::run(store, broker, seed, commands, patience).await?;
        all = Some(Verdict {
            wrong: verdict.wrong + wrong,
            ..verdict
        });
    }
    Ok(all.unwrap_or_default())
}

/// The arguments of a load with so many commands.
fn args<'a>(commands: &'a str, patience: &'a str) -> [&'a str; 6] {
    [
        "--commands",
        commands,
        "--accounts",
        ACCOUNTS,
        "--patience",
        patience,
    ]
}

/// Gives so many commands, and repeats those that were given before.
async fn load(fixture: &mut Fixture, run: &str, commands: u32, patience: &str) -> Result<()> {
    let commands = commands.to_string();
    let load = fixture.workload(run, &args(&commands, patience))?;
    fixture.run(load).await?;
    Ok(())
}

enum Side {
    Producer,
    Consumer,
}

/// Without a connection that stays, because a backup needs none.
async fn number(fixture: &Fixture, side: Side, reading: &str) -> Result<i64> {
    let db = match side {
        Side::Producer => look_into(&fixture.producer).await?,
        Side::Consumer => look_into(&fixture.consumer).await?,
    };
    let number = tables::number(&db, reading).await;
    db.close().await?;
    number
}
