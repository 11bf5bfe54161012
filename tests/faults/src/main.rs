//! The fault runs. Each breaks something under load and then checks that nothing is lost, duplicated or out of order.
//!
//! Each run prints its seed and one line with its verdict. The services run in child processes (the hidden command `workload`),
//! because only a process can die suddenly. `cargo xtask faults` builds this program with the switches and starts the servers.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the verdicts are the output of this program, and a child prints what it has acknowledged"
)]

mod broken;
mod broker;
mod cancelled_begin;
mod checker;
mod clock_step;
mod crash;
mod database;
mod deposit;
mod durability;
mod fixture;
mod full_disk;
mod late_commit;
mod load_process;
mod losses;
mod missing_binding;
mod neighbours;
mod network;
mod order;
mod poison;
mod races;
mod repaired;
mod replay;
mod restored;
mod stopped_replica;
mod summary;
mod tables;
mod text;
mod two_releases;
mod unparsable;
mod watch;
mod wire;
mod workload;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::summary::{Outcome, Row, Summary};

/// The exit code if a check failed.
const VIOLATED: u8 = 2;

#[derive(Parser)]
#[command(name = "cargo xtask faults", about)]
struct Cli {
    /// The run; by default all of them, and then a table of their verdicts
    #[command(subcommand)]
    name: Option<Name>,
    /// Seed of the random choices; the same seed repeats a run
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// A short form of each run
    #[arg(long, global = true)]
    quick: bool,
    /// The same as the run `broken`
    #[arg(long)]
    broken: bool,
    /// Seconds until a system must be quiet: nothing pending, nothing held, every event has its effect
    #[arg(long, global = true, default_value_t = 60)]
    patience: u64,
}

#[derive(Subcommand)]
enum Name {
    /// Processes that abort at each point of an event's way
    Crash(crash::Crash),
    /// Engines with a deliberate mistake: each must be caught by its own symptom
    Broken(broken::Broken),
    /// Several relays and consumers that are killed, with handlers that fail: the order must hold
    Order,
    /// Transactions that commit after later ones were published
    LateCommit,
    /// A broker under load: closed connections, a changed password, a deleted queue, restarts, kills, an outage
    Broker,
    /// Links to the broker and to the databases under load: cut, half open, slow, narrow, reset
    Network,
    /// Databases under load: ended sessions, kills, exhausted pools, read-only; and SQLite files with killed writers
    Database,
    /// Callers that give up at any moment, mostly at the BEGIN of their transaction
    CancelledBegin,
    /// Replicas that are stopped (SIGSTOP) in a handler and in a command, while they hold locks
    StoppedReplica,
    /// Full disks under load: one with all files, one with the queue file only
    FullDisk,
    /// A clock that jumps ahead and back under load
    ClockStep,
    /// The durability settings of live connections and of the broker's queues
    Durability,
    /// Messages that no handler can process, among many good ones
    Poison,
    /// Messages that the client library cannot parse, and damaged rows of the queue file, among many good ones
    Unparsable,
    /// The same command from many callers, and the same event at two consumers, at the same moment
    Races,
    /// The whole history published twice more, and all dead letters replayed twice
    Replay,
    /// Messages that are lost on the way to the broker
    Lossy,
    /// Messages that no queue takes yet
    Unrouted,
    /// Messages that no queue takes yet, among others that reach a queue
    Neighbours,
    /// The binding of one of two queues goes missing under load; what it loses is shown and handed over
    MissingBinding,
    /// Databases that come back from a backup: the consumer's is repaired, the producer's loss is named and decided
    Restored,
    /// Two releases of a consumer on one queue; only one of them knows a new type of event
    TwoReleases,
    /// The two services and their load, as one process that a run can kill
    #[command(hide = true)]
    Workload(Box<workload::Workload>),
}

#[tokio::main(worker_threads = 4)]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<ExitCode> {
    ensure!(
        has_switches(),
        "this build has no abort points, no mistakes and no clock: start it with `cargo xtask faults`"
    );
    if let Some(Name::Workload(workload)) = &cli.name {
        return workload::run(workload, Duration::from_secs(cli.patience)).await;
    }
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("seed {seed}");
    let name = match (&cli.name, cli.broken) {
        (None, false) => return Ok(all(cli, seed).await),
        (None, true) => &Name::Broken(broken::Broken::default()),
        (Some(name), false) => name,
        (Some(name), true) => bail!("either --broken or {}", name.title()),
    };
    Ok(code(one(cli, name, seed).await?.passes()))
}

/// `cargo xtask faults` marks the version of what it builds with the switches.
fn has_switches() -> bool {
    env!("CARGO_PKG_VERSION").ends_with("+overlay")
}

/// All runs, also after one has failed.
async fn all(cli: &Cli, seed: u64) -> ExitCode {
    let begun = Instant::now();
    let mut rows = Vec::new();
    for name in [
        Name::Crash(crash::Crash::everywhere()),
        Name::Order,
        Name::LateCommit,
        Name::Broker,
        Name::Network,
        Name::Database,
        Name::CancelledBegin,
        Name::StoppedReplica,
        Name::FullDisk,
        Name::ClockStep,
        Name::Durability,
        Name::Poison,
        Name::Unparsable,
        Name::Races,
        Name::Replay,
        Name::Lossy,
        Name::Unrouted,
        Name::Neighbours,
        Name::MissingBinding,
        Name::Restored,
        Name::TwoReleases,
        Name::Broken(broken::Broken::default()),
    ] {
        let begun = Instant::now();
        let outcome = one(cli, &name, seed).await.unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            Outcome::Failed(format!("{error:#}"))
        });
        let title = name.title();
        println!("{title} took {} s", begun.elapsed().as_secs());
        rows.push(Row {
            name: title.to_owned(),
            broken: about(title),
            outcome,
        });
    }
    let quick = if cli.quick { " --quick" } else { "" };
    println!(
        "\n`cargo xtask faults{quick} --seed {seed}` took {} s:\n",
        begun.elapsed().as_secs()
    );
    println!("{}", Summary(&rows));
    code(rows.iter().all(|row| row.outcome.passes()))
}

/// Does one run and prints its verdict.
async fn one(cli: &Cli, name: &Name, seed: u64) -> Result<Outcome> {
    let (quick, patience) = (cli.quick, cli.patience);
    let verdict = match name {
        Name::Crash(crash) => {
            let mut crash = crash.clone();
            if quick {
                crash.repeats = 1;
            }
            crash::run(&crash, seed, patience).await?
        }
        Name::Order => order::run(seed, quick, patience).await?,
        Name::LateCommit => {
            let rounds = if quick { 10 } else { 200 };
            late_commit::run(rounds, Duration::from_secs(patience)).await?
        }
        Name::Broker => broker::run(seed, quick, patience).await?,
        Name::Network => network::run(seed, quick, patience).await?,
        Name::Database => database::run(seed, quick, patience).await?,
        Name::CancelledBegin => {
            cancelled_begin::run(seed, quick, Duration::from_secs(patience)).await?
        }
        Name::StoppedReplica => stopped_replica::run(seed, quick, patience).await?,
        Name::ClockStep => clock_step::run(seed, quick, patience).await?,
        Name::Poison => poison::run(seed, quick, patience).await?,
        Name::Unparsable => unparsable::run(seed, quick, Duration::from_secs(patience)).await?,
        Name::Races => {
            let rounds = if quick { 5 } else { 100 };
            races::run(rounds, seed, Duration::from_secs(patience)).await?
        }
        Name::Replay => replay::run(seed, quick, patience).await?,
        Name::Lossy => losses::lossy(seed, quick, patience).await?,
        Name::Unrouted => losses::unrouted(seed, quick, patience).await?,
        Name::Neighbours => neighbours::run(Duration::from_secs(patience)).await?,
        Name::MissingBinding => missing_binding::run(seed, quick, patience).await?,
        Name::Restored => restored::run(seed, quick, patience).await?,
        Name::TwoReleases => two_releases::run(quick, Duration::from_secs(patience)).await?,
        Name::FullDisk => return full_disk::run(seed, quick, patience).await,
        Name::Durability => return durable().await,
        Name::Broken(broken) => return broken::run(broken, seed, quick).await,
        Name::Workload(_) => {
            return Ok(Outcome::Failed("workload is not a run".to_owned()));
        }
    };
    println!("{}: {verdict}", name.title());
    Ok(Outcome::Judged(verdict))
}

async fn durable() -> Result<Outcome> {
    let durability::Found { wrong, left_out } = durability::run().await?;
    for wrong in &wrong {
        println!("durability: {wrong}");
    }
    let (passed, said) = match wrong.len() {
        0 => (true, String::new()),
        wrong => (false, format!("{wrong} settings are wrong")),
    };
    let word = checker::word(passed, &left_out);
    println!("durability: {word} wrong={}", wrong.len());
    Ok(Outcome::Answered {
        passed,
        said,
        left_out,
    })
}

impl Name {
    /// Its name on the command line.
    fn title(&self) -> &'static str {
        match self {
            Self::Crash(_) => "crash",
            Self::Broken(_) => "broken",
            Self::Order => "order",
            Self::LateCommit => "late-commit",
            Self::Broker => "broker",
            Self::Network => "network",
            Self::Database => "database",
            Self::CancelledBegin => "cancelled-begin",
            Self::StoppedReplica => "stopped-replica",
            Self::FullDisk => "full-disk",
            Self::ClockStep => "clock-step",
            Self::Durability => "durability",
            Self::Poison => "poison",
            Self::Unparsable => "unparsable",
            Self::Races => "races",
            Self::Replay => "replay",
            Self::Lossy => "lossy",
            Self::Unrouted => "unrouted",
            Self::Neighbours => "neighbours",
            Self::MissingBinding => "missing-binding",
            Self::Restored => "restored",
            Self::TwoReleases => "two-releases",
            Self::Workload(_) => "workload",
        }
    }
}

/// The description of a run in `--help`.
fn about(title: &str) -> String {
    let cli = Cli::command();
    let run = cli.find_subcommand(title);
    let about = run.and_then(|run| run.get_about().map(ToString::to_string));
    about.unwrap_or_default()
}

fn code(passed: bool) -> ExitCode {
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(VIOLATED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_switch_stands_in_the_overlay_or_in_the_workload() {
        let overlay = include_str!("../overlay.patch").lines();
        let added = overlay.filter(|line| line.starts_with('+'));
        let workload = include_str!("workload/commands.rs").lines();
        let wire = include_str!("wire.rs").lines();
        let lines: Vec<&str> = added.chain(workload).chain(wire).collect();
        let times = |call: String| lines.iter().filter(|line| line.contains(&call)).count();
        for point in switches::POINTS {
            assert_eq!(times(format!("point(\"{point}\")")), 1, "{point}");
        }
        for mistake in switches::MISTAKES {
            assert_ne!(times(format!("broken(\"{mistake}\")")), 0, "{mistake}");
        }
    }

    #[test]
    fn each_run_has_its_title_as_name_and_a_description() {
        for run in Cli::command().get_subcommands() {
            if !run.is_hide_set() {
                let parsed = Cli::try_parse_from(["faults", run.get_name()]);
                let name = parsed.ok().and_then(|cli| cli.name);
                assert_eq!(name.map(|name| name.title()), Some(run.get_name()));
                assert!(!about(run.get_name()).is_empty());
            }
        }
    }
}
