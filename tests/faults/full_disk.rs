//! Disks that are full under load, and have room again: first a disk with all files, then a disk with only the queue file.
//!
//! Each command that was answered with OK is kept and has its effect. A command without room is refused and leaves nothing.
//! Work goes on by itself. The disk is a small tmpfs, so this needs the right to mount one.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use tempfile::TempDir;
use testkit::{Database, SmallDisk};

use crate::broker::RECOVERY;
use crate::checker::Verdict;
use crate::load::{self, Load};
use crate::summary::Outcome;
use crate::tables;
use crate::watch::{Recovery, Watch};
use crate::world::{QUEUE_FILE, World};

/// Three files with their logs, which grow to 4 MB each.
const MEGABYTES: u32 = 48;
/// This many refused commands show that the disk was full for commands.
const REFUSED: usize = 6;
/// This many waiting events show that it was full for the queue file.
const WAITING: i64 = 20;
/// Longer than it takes to use up the room that SQLite has in its logs.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// How often the disk is full, and how long it stays so after that has shown.
type Plan = (u32, Duration);

const LOAD: [&str; 6] = ["--rate", "50", "--writers", "8", "--accounts", "20"];

pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Outcome> {
    let disk = match SmallDisk::mount(MEGABYTES) {
        Ok(disk) => disk,
        Err(reason) => {
            println!("full-disk: nothing was shown, as no tmpfs can be mounted here: {reason}");
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
    let mut world = world(disk, disk.path()).await?;
    let run = format!("{seed}-all");
    let (mut load, mut watch) = begin(&world, &run, patience).await?;
    let mut longest = Recovery::none();
    for _ in 0..rounds {
        let begun = Instant::now();
        disk.fill();
        until("commands are refused", async || {
            Ok(load::slowest_refusal(&load.answers(begun)).1 >= REFUSED)
        })
        .await?;
        tokio::time::sleep(span).await;
        disk.free();
        watch.recovers(&mut load, RECOVERY, &mut longest).await?;
    }
    watch.judge(true, &format!("all files on a full disk, {rounds} times"));
    watch.recovered("there is room again", longest);
    end(&mut world, load, watch, &run, patience).await
}

/// Commands go on, and their events wait in the outbox.
///
/// A queue gives the room of its messages back, and SQLite writes its log over: a file that has grown far enough needs no more room,
/// and a full disk does not show. So its log is empty whenever the disk gets full.
async fn queue_file(
    disk: &SmallDisk,
    (rounds, span): Plan,
    seed: u64,
    patience: u64,
) -> Result<Verdict> {
    let elsewhere = TempDir::new()?;
    let mut world = world(disk, elsewhere.path()).await?;
    let run = format!("{seed}-queue");
    let (mut load, mut watch) = begin(&world, &run, patience).await?;
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
    watch.calls(&load, begun, "while the queue file had no room, and after");
    watch.recovered("it has room again", longest);
    end(&mut world, load, watch, &run, patience).await
}

/// The queue file is on `disk`, the databases are in `folder`.
async fn world(disk: &SmallDisk, folder: &std::path::Path) -> Result<World> {
    let databases = ["producer.db", "consumer.db"].map(|name| Database::in_folder(folder, name));
    let mut world = World::on(databases, None).await?;
    world.keep_queue_in(disk.path());
    Ok(world)
}

async fn begin(world: &World, run: &str, patience: u64) -> Result<(Load, Watch)> {
    let patience = patience.to_string();
    let mut load = world.load(run, &[&LOAD[..], &["--patience", &patience]].concat())?;
    let mut watch = Watch::over(world, "full-disk").await?;
    watch
        .recovers(&mut load, RECOVERY, &mut Recovery::none())
        .await?;
    Ok((load, watch))
}

async fn end(
    world: &mut World,
    load: Load,
    watch: Watch,
    run: &str,
    patience: u64,
) -> Result<Verdict> {
    world.end(load, patience).await?;
    let verdict = world.verdict(run, true).await?;
    watch.close(verdict).await
}

async fn until(what: &str, holds: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !holds().await? {
        ensure!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
