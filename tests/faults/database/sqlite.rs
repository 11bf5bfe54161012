//! SQLite: many writers and readers of one file, none of whom hears that it is locked; and processes that are killed while
//! they write, over and over, without harm to the file.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use messaging::Store;
use store::DatabaseConfig;
use testkit::{BrokerKind, Database, StoreKind};
use tokio::task::JoinSet;

use crate::checker::Verdict;
use crate::ledger::commands::{self, Command};
use crate::tables::{self, Migrator};
use crate::world::World;

const WRITERS: u32 = 8;
const READERS: u32 = 8;
/// Of each kind and each of them, in a second, on a busy machine.
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

/// How many calls failed, and one more where there were too few of either kind.
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
            ("write", answers)
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
        "database{}: {WRITERS} writers and {READERS} readers of a file for {span:?}: {writes} writes, {reads} reads, {refused} refused",
        if were_many { "" } else { " WRONG" }
    );
    for (error, times) in refusals {
        println!("database WRONG: {times} times: {error}");
    }
    Ok(refused + usize::from(!were_many))
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
        for db in [
            world.producer.connect().await,
            world.consumer.connect().await,
            queue_file(&world).await?,
        ] {
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

/// The broker's. No process has it open.
async fn queue_file(world: &World) -> Result<store::Database> {
    let config = DatabaseConfig::new(format!("sqlite://{}", world.queue_file().display()));
    Ok(store::connect(&config, "faults").await?)
}

async fn is_whole(db: &store::Database) -> Result<bool> {
    let rows = tables::rows(db, "PRAGMA integrity_check", []).await?;
    let row = rows.first().context("a check has an answer")?;
    Ok(row.try_get_by_index::<String>(0)? == "ok")
}
