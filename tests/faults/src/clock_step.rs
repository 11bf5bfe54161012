//! The clock of the databases jumps under load: ahead by an hour and by a day, and back. Some handlers fail, so there are leases
//! and pending retries at each jump. Nothing is lost, duplicated or dead, and work goes on soon.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use tempfile::TempDir;
use testkit::{BrokerKind, StoreKind};

use crate::checker::Verdict;
use crate::fixture::Fixture;
use crate::load_process::LoadProcess;
use crate::watch::{Recovery, Watch};

const HOUR_MS: i64 = 3_600_000;
/// How far the clock is ahead after each step. The last step corrects it.
const AHEAD_MS: [i64; 6] = [HOUR_MS, 0, 24 * HOUR_MS, 0, -HOUR_MS, 0];
/// Held events are checked every 5 s, and their lease then lasts 15 s.
const RECOVERY: Recovery = Recovery {
    resumes: Duration::from_secs(15),
    drains: Duration::from_secs(60),
};

pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let servers = (StoreKind::Postgres, BrokerKind::RabbitMq);
    let files = (StoreKind::Sqlite, BrokerKind::Embedded);
    let on_servers = one(servers, seed, quick, patience).await?;
    println!("clock-step servers: {on_servers}");
    let on_files = one(files, seed, quick, patience).await?;
    println!("clock-step files: {on_files}");
    Ok(on_servers.and(&on_files))
}

async fn one(
    (store, broker): (StoreKind, BrokerKind),
    seed: u64,
    quick: bool,
    patience: u64,
) -> Result<Verdict> {
    let rounds = if quick { 1 } else { 5 };
    let folder = TempDir::new()?;
    let clock = folder.path().join("clock");
    set(&clock, 0)?;
    let mut fixture = Fixture::new(store, broker).await?;
    let (run, text) = (seed.to_string(), patience.to_string());
    let args = ["--rate", "50", "--writers", "4", "--accounts", "20"];
    let failing = ["--handler-failures", "20", "--patience", &text];
    let mut command = fixture.workload(&run, &[&args[..], &failing].concat())?;
    command.env(switches::CLOCK, &clock);
    let mut load = LoadProcess::start(command)?;
    let mut watch = Watch::over(&fixture, "clock-step").await?;
    let mut longest = Recovery::none();
    watch.recovers(&mut load, RECOVERY, &mut longest).await?;
    let begun = Instant::now();
    for ahead_ms in AHEAD_MS.repeat(rounds) {
        set(&clock, ahead_ms)?;
        watch.recovers(&mut load, RECOVERY, &mut longest).await?;
    }
    let steps = rounds * AHEAD_MS.len();
    watch.recovered(&format!("the clock jumped {steps} times"), longest);
    watch.calls(&load, begun, "during the jumps");
    fixture.end(load, patience).await?;
    let verdict = fixture.verdict(&run, true).await?;
    watch.close(verdict).await
}

/// By a rename, so that no reader sees half of the number.
fn set(clock: &Path, ahead_ms: i64) -> Result<()> {
    let beside: PathBuf = clock.with_extension("new");
    std::fs::write(&beside, ahead_ms.to_string())?;
    std::fs::rename(&beside, clock)?;
    Ok(())
}
