//! Disks that become full under load and get room again: first a disk with all files, then a disk with the queue file only.
//!
//! Each acknowledged command is kept and has its effect. A command without room is refused and leaves nothing. Work goes on
//! without a restart. The disk is a small tmpfs, so this run needs the right to mount one.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use tempfile::TempDir;
use testkit::{Database, SmallDisk};

use crate::broker::RECOVERY;
use crate::checker::Verdict;
use crate::fixture::{Fixture, QUEUE_FILE};
use crate::load_process::{self, LoadProcess};
use crate::summary::Outcome;
use crate::tables;
use crate::watch::{Recovery, Watch};

/// Room for three files with their logs of up to 4 MB each.
const MEGABYTES: u32 = 48;
/// After this many refused commands the disk was full for commands.
const REFUSED: usize = 6;
/// With this many waiting events the disk was full for the queue file.
const WAITING: i64 = 20;
/// Longer than SQLite can write to the room in its logs.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// How often the disk is full, and how long it stays full after the first signs.
type Plan = (u32, Duration);

const LOAD: [&str; 6] = ["--rate", "50", "--writers", "8", "--accounts", "20"];

pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Outcome> {
    let disk = match SmallDisk::mount(MEGABYTES) {
        Ok(disk) => disk,
        Err(reason) => {
            println!("full-disk: left out, because no tmpfs can be mounted here: {reason}");
            return Ok(Outcome::Answered {
                passed: true,
                said: "no tmpfs can be mounted here".to_owned(),
                left_out: ["full disks"].into(),
            });
        }
    };
    let plan = if quick {
        (3, Duration::from_millis(500))
    } else {
        (10, Duration::from_secs(5))
    };
    let all = all_files(&disk, plan, seed, patience).await?;
    println!("full-disk, all files: {all}");
    drop(disk);
    let disk = SmallDisk::mount(MEGABYTES).map_err(|reason| anyhow!(reason))?;
    let queue = queue_file(&disk, plan, seed, patience).await?;
    println!("full-disk, queue file: {queue}");
    let verdict = all.and(&queue);
    println!("full-disk: {verdict}");
    Ok(Outcome::Judged(verdict))
}

async fn all_files(
    disk: &SmallDisk,
    (rounds, span): Plan,
    seed: u64,
    patience: u64,
) -> Result<Verdict> {
    let mut fixture = fixture(disk, disk.path()).await?;
    let run = format!("{seed}-all");
    let (mut load, mut watch) = begin(&fixture, &run, patience).await?;
    let mut longest = Recovery::none();
    for _ in 0..rounds {
        let begun = Instant::now();
        disk.fill();
        until("commands are refused", async || {
            Ok(load_process::slowest_refusal(&load.answers(begun)).1 >= REFUSED)
        })
        .await?;
        tokio::time::sleep(span).await;
        disk.free();
        watch.recovers(&mut load, RECOVERY, &mut longest).await?;
    }
    watch.judge(
        true,
        &format!("the disk with all files was full {rounds} times"),
    );
    watch.recovered("the disk has room again", longest);
    end(&mut fixture, load, watch, &run, patience).await
}

/// Commands go on, and their events wait in the outbox.
///
/// The queue file reuses the room of handled messages, and SQLite reuses its log: a file that is large enough needs no more room, and
/// a full disk has no effect. So the log is emptied each time before the disk is filled.
async fn queue_file(
    disk: &SmallDisk,
    (rounds, span): Plan,
    seed: u64,
    patience: u64,
) -> Result<Verdict> {
    let elsewhere = TempDir::new()?;
    let mut fixture = fixture(disk, elsewhere.path()).await?;
    let run = format!("{seed}-queue");
    let (mut load, mut watch) = begin(&fixture, &run, patience).await?;
    let mut longest = Recovery::none();
    let queue = Database::in_folder(disk.path(), QUEUE_FILE).connect().await;
    let begun = Instant::now();
    for _ in 0..rounds {
        until("the queue file's log is empty", async || {
            Ok(tables::number(&queue, "PRAGMA wal_checkpoint(TRUNCATE)").await? == 0)
        })
        .await?;
        disk.fill();
        until(
            "events wait",
            async || Ok(watch.pending().await? >= WAITING),
        )
        .await?;
        tokio::time::sleep(span).await;
        disk.free();
        watch.recovers(&mut load, RECOVERY, &mut longest).await?;
    }
    queue.close().await?;
    watch.calls(
        &load,
        begun,
        "while the queue file had no room, and afterwards",
    );
    watch.recovered("the queue file has room again", longest);
    end(&mut fixture, load, watch, &run, patience).await
}

/// The queue file is on `disk`, the databases are in `folder`.
async fn fixture(disk: &SmallDisk, folder: &std::path::Path) -> Result<Fixture> {
    let databases = ["producer.db", "consumer.db"].map(|name| Database::in_folder(folder, name));
    let mut fixture = Fixture::on(databases, None).await?;
    fixture.keep_queue_in(disk.path());
    Ok(fixture)
}

async fn begin(fixture: &Fixture, run: &str, patience: u64) -> Result<(LoadProcess, Watch)> {
    let patience = patience.to_string();
    let mut load = fixture.load(run, &[&LOAD[..], &["--patience", &patience]].concat())?;
    let mut watch = Watch::over(fixture, "full-disk").await?;
    watch
        .recovers(&mut load, RECOVERY, &mut Recovery::none())
        .await?;
    Ok((load, watch))
}

async fn end(
    fixture: &mut Fixture,
    load: LoadProcess,
    watch: Watch,
    run: &str,
    patience: u64,
) -> Result<Verdict> {
    fixture.end(load, patience).await?;
    let verdict = fixture.verdict(run, true).await?;
    watch.close(verdict).await
}

async fn until(what: &str, holds: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !holds().await? {
        ensure!(begun.elapsed() < LIMIT, "after {LIMIT:?} still not: {what}");
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
