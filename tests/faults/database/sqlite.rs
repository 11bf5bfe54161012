//! SQLite: many writers and readers of one file, none of whom hears that it is locked; and processes that are killed while
//! they write, over and over, without harm to the file.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use messaging::Store;
use sea_orm::DatabaseConnection;
use testkit::{BrokerKind, Database, StoreKind};
use tokio::task::JoinSet;

use crate::checker::Verdict;
use crate::ledger::commands::{self, Command};
use crate::tables::{self, Migrator};
use crate::world::World;

const WRITERS: u32 = 8;
const READERS: u32 = 8;

pub(super) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let (span, kills) = if quick { (3, 5) } else { (60, 100) };
    let refused = crowd(Duration::from_secs(span)).await?;
    let killed = kills_under_load(seed, kills, patience).await?;
    let wrong = killed.wrong + refused;
    Ok(Verdict { wrong, ..killed })
}

/// How many calls failed.
async fn crowd(span: Duration) -> Result<usize> {
    let database = Database::create(StoreKind::Sqlite).await;
    let store = Store::new(database.migrated::<Migrator>().await);
    let (begun, mut running) = (Instant::now(), JoinSet::new());
    for writer in 0..WRITERS {
        let store = store.clone();
        running.spawn(async move {
            let mut answers = Vec::new();
            while begun.elapsed() < span {
                let command = Command {
                    op: format!("{writer}-{}", answers.len()),
                    account: "shared".to_owned(),
                };
                let answer = commands::deposit(&store, &command).await;
                answers.push(answer.map_err(|error| error.to_string()));
            }
            answers
        });
    }
    for _ in 0..READERS {
        let store = store.clone();
        running.spawn(async move {
            let mut answers = Vec::new();
            while begun.elapsed() < span {
                let all = "SELECT count(*) FROM deposit";
                let answer = tables::number(store.connection(), all).await;
                answers.push(answer.map(drop).map_err(|error| format!("{error:#}")));
            }
            answers
        });
    }
    let (mut calls, mut refusals) = (0, BTreeMap::<String, usize>::new());
    while let Some(answers) = running.join_next().await {
        for answer in answers? {
            calls += 1;
            if let Err(error) = answer {
                *refusals.entry(error).or_default() += 1;
            }
        }
    }
    let refused = refusals.values().sum();
    println!(
        "database: {WRITERS} writers and {READERS} readers of a file for {span:?}: {calls} calls, {refused} refused"
    );
    for (error, times) in refusals {
        println!("database WRONG: {times} times: {error}");
    }
    Ok(refused)
}

async fn kills_under_load(seed: u64, kills: u32, patience: u64) -> Result<Verdict> {
    let mut world = World::new(StoreKind::Sqlite, BrokerKind::Embedded).await?;
    let mut random = fastrand::Rng::with_seed(seed);
    let patience = patience.to_string();
    let mut damaged = 0;
    for kill in 0..kills {
        let run = format!("{seed}-{kill}");
        let args = ["--rate", "1000", "--writers", "8", "--patience", &patience];
        let load = world.load(&run, &args)?;
        load.first_answer().await?;
        tokio::time::sleep(Duration::from_millis(random.u64(..200))).await;
        world.kill(load).await?;
        for database in [&world.producer, &world.consumer] {
            let db = database.connect().await;
            damaged += usize::from(!is_whole(&db).await?);
            db.close().await?;
        }
    }
    let run = format!("{seed}-last");
    let last = world.ledger(&run, &["--patience", &patience])?;
    world.run(last).await?;
    let verdict = world.verdict(&run, true).await?;
    println!(
        "database: a writing process killed {kills} times, {damaged} files damaged: {verdict}"
    );
    let wrong = damaged;
    Ok(Verdict { wrong, ..verdict })
}

async fn is_whole(db: &DatabaseConnection) -> Result<bool> {
    let rows = tables::rows(db, "PRAGMA integrity_check", []).await?;
    let row = rows.first().context("a check has an answer")?;
    Ok(row.try_get_by_index::<String>(0)? == "ok")
}
