//! Databases that go away under load: sessions that end, a server that is killed, one that nobody can use, a process that dies
//! in the middle of a transaction on a file. Commands wait or fail, soon, and nothing is lost.

use std::time::{Duration, Instant};

use anyhow::Result;
use testkit::{BrokerKind, StoreKind};

use crate::broker::RECOVERY;
use crate::checker::Verdict;
use crate::load::Load;
use crate::tables;
use crate::watch::{Recovery, Watch};
use crate::world::World;

mod degraded;
mod killed_server;
mod sqlite;

const OFTEN: Duration = Duration::from_millis(500);
const SELDOM: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let sessions = ended_sessions(seed, quick, patience).await?;
    println!("database sessions: {sessions}");
    let killed = killed_server::run(seed, quick, patience).await?;
    let degraded = degraded::run(seed, quick, patience).await?;
    let file = sqlite::run(seed, quick, patience).await?;
    let verdict = sessions.and(&degraded).and(&file);
    Ok(match killed {
        Some(killed) => verdict.and(&killed),
        None => Verdict {
            left_out: ["kills"].into(),
            ..verdict
        },
    })
}

/// What a server that restarts, fails over or loses its network looks like from here, without needing one that may be killed.
async fn ended_sessions(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    // As often as they come back, and so seldom that all is well in between.
    let (often, seldom) = if quick { (3, 1) } else { (20, 12) };
    let mut world = World::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (run, text) = (seed.to_string(), patience.to_string());
    let args = ["--rate", "50", "--writers", "8", "--accounts", "20"];
    let mut load = world.load(&run, &[&args[..], &["--patience", &text]].concat())?;
    let mut watch = Watch::over(&world, "database").await?;
    let mut longest = Recovery::none();
    watch.recovers(&mut load, RECOVERY, &mut longest).await?;
    for (gap, times) in [(OFTEN, often), (SELDOM, seldom)] {
        end_sessions(gap, times, &mut load, &mut watch).await?;
    }
    world.end(load, patience).await?;
    let verdict = world.verdict(&run, true).await?;
    watch.close(verdict).await
}

/// So many times, each time all that there are, while the load goes on.
async fn end_sessions(
    gap: Duration,
    times: usize,
    load: &mut Load,
    watch: &mut Watch,
) -> Result<()> {
    let mut ended = [0, 0];
    for _ in 0..times {
        tokio::time::sleep(gap).await;
        load.check()?;
        for (ended, database) in ended.iter_mut().zip([&watch.producer, &watch.consumer]) {
            *ended += usize::from(end_some_sessions(database).await?);
        }
    }
    let [producer, consumer] = ended;
    watch.judge(
        ended == [times, times],
        &format!("all sessions ended, at least {gap:?} apart: {producer} of {times} times the producer's, {consumer} the consumer's"),
    );
    let mut longest = Recovery::none();
    watch.recovers(load, RECOVERY, &mut longest).await?;
    watch.recovered("sessions are left alone", longest);
    Ok(())
}

/// As soon as there are any; whether there were in time.
async fn end_some_sessions(database: &store::Database) -> Result<bool> {
    let begun = Instant::now();
    while end_all_sessions(database).await? == 0 {
        if begun.elapsed() > RECOVERY.resumes {
            return Ok(false);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(true)
}

/// But for those that only look. Tells how many there were.
async fn end_all_sessions(database: &store::Database) -> Result<i64> {
    let others = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'faults'";
    tables::number(database, others).await
}
