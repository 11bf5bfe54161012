//! Databases that go away under load: sessions that end, a server that is killed, one that nobody can use, a process that dies
//! in the middle of a transaction on a file. Commands wait or fail, soon, and nothing is lost.

use std::time::Duration;

use anyhow::Result;
use sea_orm::DatabaseConnection;
use testkit::{BrokerKind, StoreKind};

use crate::checker::Verdict;
use crate::tables;
use crate::world::World;

mod degraded;
mod killed_server;
mod sqlite;

const GAP: Duration = Duration::from_millis(500);

pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let sessions = ended_sessions(seed, quick, patience).await?;
    println!("database sessions: {sessions}");
    let killed = killed_server::run(seed, quick, patience).await?;
    let degraded = degraded::run(seed, quick, patience).await?;
    let file = sqlite::run(seed, quick, patience).await?;
    let verdict = sessions.and(&degraded).and(&file);
    Ok(killed.map_or(verdict.clone(), |killed| verdict.and(&killed)))
}

/// What a server that restarts, fails over or loses its network looks like from here, without needing one that may be killed.
async fn ended_sessions(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let mut world = World::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (run, patience) = (seed.to_string(), patience.to_string());
    let (commands, ends) = if quick { ("300", 3) } else { ("5000", 20) };
    let command = world.ledger(&run, &["--commands", commands, "--patience", &patience])?;
    let databases = [
        world.producer.connect().await,
        world.consumer.connect().await,
    ];
    let ending = async {
        for _ in 0..ends {
            tokio::time::sleep(GAP).await;
            for database in &databases {
                end_all_sessions(database).await?;
            }
        }
        // The load may last longer than the faults: from here on it recovers.
        std::future::pending::<Result<()>>().await
    };
    tokio::select! {
        ended = world.run(command) => {
            ended?;
        }
        failed = ending => failed?,
    }
    world.verdict(&run, true).await
}

async fn end_all_sessions(database: &DatabaseConnection) -> Result<()> {
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    tables::rows(database, others, []).await?;
    Ok(())
}
