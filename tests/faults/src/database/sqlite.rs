//! SQLite: many writers and readers of one file, and none of them gets the error that it is locked; and processes that are killed
//! again and again while they write, without damage to the files.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use load::Load;
use messaging::Store;
use store::DatabaseConfig;
use testkit::{BrokerKind, Database, StoreKind};
use tokio::task::JoinSet;

use crate::checker::Verdict;
use crate::fixture::Fixture;
use crate::tables::{self, Migrator};
use crate::workload::commands::{self, Command};

const WRITERS: u32 = 8;
const READERS: u32 = 8;
/// Calls that each writer and each reader makes in a second, even on a busy machine.
const MANY: f64 = 2.0;

pub(super) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let (span, kills) = if quick { (3, 5) } else { (60, 100) };
    let wrong = crowd(Duration::from_secs(span)).await?;
    let killed = kills_under_load(seed, kills, patience).await?;
    Ok(Verdict {
        wrong: killed.wrong + wrong,
        ..killed
    })
}

/// How many calls failed; one more if there were too few writes or reads.
async fn crowd(span: Duration) -> Result<usize> {
    let database = Database::create(StoreKind::Sqlite).await;
    let store = Store::new(database.migrated::<Migrator>().await);
    let (load, mut running) = (Load::closed().lasting(span), JoinSet::new());
    for _ in 0..WRITERS {
        let (store, mut calls) = (store.clone(), load.caller());
        running.spawn(async move {
            let mut answers = Vec::new();
            while let Some(call) = calls.next().await {
                let command = Command {
                    op: call.number.to_string(),
                    account: "shared".to_owned(),
                };
                let answer = commands::deposit(&store, &command).await;
                answers.push(answer.map_err(|error| error.to_string()));
            }
            ("write", answers)
        });
    }
    for _ in 0..READERS {
        let (store, mut calls) = (store.clone(), load.caller());
        running.spawn(async move {
            let mut answers = Vec::new();
            while calls.next().await.is_some() {
                let all = "SELECT count(*) FROM deposit";
                let answer = tables::number(store.connection(), all).await;
                answers.push(answer.map(drop).map_err(|error| format!("{error:#}")));
            }
            ("read", answers)
        });
    }
    let (mut done, mut refusals) = (BTreeMap::<&str, usize>::new(), BTreeMap::new());
    while let Some(ended) = running.join_next().await {
        let (kind, answers) = ended?;
        for answer in answers {
            match answer {
                Ok(()) => *done.entry(kind).or_default() += 1,
                Err(error) => *refusals.entry(error).or_insert(0) += 1,
            }
        }
    }
    let refused: usize = refusals.values().sum();
    let [writes, reads] = ["write", "read"].map(|kind| done.get(kind).copied().unwrap_or(0));
    let many = |callers: u32| (MANY * f64::from(callers) * span.as_secs_f64()) as usize;
    let were_many = writes >= many(WRITERS) && reads >= many(READERS);
    println!(
        "database{}: {WRITERS} writers and {READERS} readers of one file for {span:?}: {writes} writes, {reads} reads, {refused} refused",
        if were_many { "" } else { " WRONG" }
    );
    for (error, times) in refusals {
        println!("database WRONG: {times} times: {error}");
    }
    Ok(refused + usize::from(!were_many))
}

async fn kills_under_load(seed: u64, kills: u32, patience: u64) -> Result<Verdict> {
    let mut fixture = Fixture::new(StoreKind::Sqlite, BrokerKind::Embedded).await?;
    let mut random = fastrand::Rng::with_seed(seed);
    let patience = patience.to_string();
    let mut damaged = 0;
    for kill in 0..kills {
        let run = format!("{seed}-{kill}");
        let args = ["--rate", "1000", "--writers", "8", "--patience", &patience];
        let load = fixture.load(&run, &args)?;
        load.first_answer().await?;
        tokio::time::sleep(Duration::from_millis(random.u64(..200))).await;
        fixture.kill(load).await?;
        for db in [
            fixture.producer.connect().await,
            fixture.consumer.connect().await,
            queue_file(&fixture).await?,
        ] {
            damaged += usize::from(!is_whole(&db).await?);
            db.close().await?;
        }
    }
    let run = format!("{seed}-last");
    let last = fixture.workload(&run, &["--patience", &patience])?;
    fixture.run(last).await?;
    let verdict = fixture.verdict(&run, true).await?;
    println!(
        "database: a writing process was killed {kills} times, {damaged} files are damaged: {verdict}"
    );
    let wrong = damaged;
    Ok(Verdict { wrong, ..verdict })
}

/// The embedded broker's file. No process has it open now.
async fn queue_file(fixture: &Fixture) -> Result<store::Database> {
    let config = DatabaseConfig::new(format!("sqlite://{}", fixture.queue_file().display()));
    Ok(store::connect(&config, "faults").await?)
}

async fn is_whole(db: &store::Database) -> Result<bool> {
    let rows = tables::rows(db, "PRAGMA integrity_check", []).await?;
    let row = rows.first().context("a check has an answer")?;
    Ok(row.try_get_by_index::<String>(0)? == "ok")
}
