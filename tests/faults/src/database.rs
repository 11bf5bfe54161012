//! Databases that fail under load: ended sessions, a killed server, an unusable server, and a process that is killed while it
//! writes to a file. Commands wait or fail in time, and nothing is lost.

use std::time::{Duration, Instant};

use anyhow::Result;
use testkit::{BrokerKind, StoreKind};

use crate::broker::RECOVERY;
use crate::checker::Verdict;
use crate::fixture::Fixture;
use crate::load_process::LoadProcess;
use crate::tables;
use crate::watch::{Recovery, Watch};

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

/// Ends the sessions. To a service this is like a restart, a failover or a lost network, and it needs no server that may be killed.
async fn ended_sessions(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    // At first as soon as there are new sessions, then with enough time to recover.
    let (often, seldom) = if quick { (3, 1) } else { (20, 12) };
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (run, text) = (seed.to_string(), patience.to_string());
    let args = ["--rate", "50", "--writers", "8", "--accounts", "20"];
    let mut load = fixture.load(&run, &[&args[..], &["--patience", &text]].concat())?;
    let mut watch = Watch::over(&fixture, "database").await?;
    let mut longest = Recovery::none();
    watch.recovers(&mut load, RECOVERY, &mut longest).await?;
    for (gap, times) in [(OFTEN, often), (SELDOM, seldom)] {
        end_sessions(gap, times, &mut load, &mut watch).await?;
    }
    fixture.end(load, patience).await?;
    let verdict = fixture.verdict(&run, true).await?;
    watch.close(verdict).await
}

/// Ends all sessions this many times while the load goes on.
async fn end_sessions(
    gap: Duration,
    times: usize,
    load: &mut LoadProcess,
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
        &format!("all sessions were ended, at least {gap:?} apart: {producer} of {times} times those of the producer, {consumer} those of the consumer"),
    );
    let mut longest = Recovery::none();
    watch.recovers(load, RECOVERY, &mut longest).await?;
    watch.recovered("after the last ended sessions", longest);
    Ok(())
}

/// Ends all sessions as soon as there are any. Returns whether there were any in time.
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

/// Ends all sessions except those of this program, and returns their number.
async fn end_all_sessions(database: &store::Database) -> Result<i64> {
    let others = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'faults'";
    tables::number(database, others).await
}
