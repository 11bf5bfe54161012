//! Restored databases. A restored consumer gets again what it handled after the backup. A restored producer has lost events that its
//! consumer has handled: they are named, and an operator's decision makes the consumer follow it.
//!
//! Both parts run on both stacks.

use anyhow::Result;
use testkit::{BrokerKind, StoreKind};

use crate::checker::Verdict;

mod consumer;
mod producer;

/// Few accounts, so that each has lost versions.
const ACCOUNTS: &str = "4";

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
