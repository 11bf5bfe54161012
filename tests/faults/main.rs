//! Shows that what must hold does, fault by fault, and that a wrong engine would not get away with it.
//!
//! Each run prints its seed and one line with its verdict. The services run as child processes of their own (the hidden
//! command `ledger`), because only a process can die suddenly. Needs the servers of the tests; `cargo xtask faults` starts
//! them.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the verdicts are what this program is for, and a child says what it has promised"
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
mod full_disk;
mod late_commit;
mod ledger;
mod load;
mod losses;
mod neighbours;
mod network;
mod order;
mod poison;
mod races;
mod replay;
mod stopped_replica;
mod summary;
mod tables;
mod text;
mod unparsable;
mod watch;
mod wire;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::summary::{Outcome, Row, Summary};

/// What must hold did not.
const VIOLATED: u8 = 2;

#[derive(Parser)]
#[command(name = "cargo xtask faults", about)]
struct Cli {
    /// Which; without it all of them, and a table of their verdicts in the end
    #[command(subcommand)]
    name: Option<Name>,
    /// Repeats a run
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// A short form of each
    #[arg(long, global = true)]
    quick: bool,
    /// The same as the run `broken`
    #[arg(long)]
    broken: bool,
    /// Seconds within which a system must become quiet again
    #[arg(long, global = true, default_value_t = 60)]
    patience: u64,
}

#[derive(Subcommand)]
enum Name {
    /// Sudden death at each point
    Crash(crash::Crash),
    /// The engine, by known mistakes: each must be noticed for what it does
    Broken(broken::Broken),
    /// Order with several relays and consumers, failures and kills
    Order,
    /// A transaction that commits after its successor was published
    LateCommit,
    /// A broker that is restarted, killed, away, locked and deleted from under load
    Broker,
    /// Links to the broker and to the databases that are cut, half open, slow, narrow or reset under load
    Network,
    /// Databases that are killed, stuck, read-only or lose their sessions under load, and files with killed writers
    Database,
    /// Callers that give up at any moment, at the BEGIN of their transaction above all
    CancelledBegin,
    /// Replicas that are stopped in a handler and in a command, with rows locked
    StoppedReplica,
    /// Disks that are full under load and have room again, under all files and under the queue file
    FullDisk,
    /// A clock that jumps ahead and back under load
    ClockStep,
    /// Settings of live connections
    Durability,
    /// Messages that no handler can process, among many good ones
    Poison,
    /// Messages that the client library cannot parse, and damaged rows, among many good ones
    Unparsable,
    /// The same command and the same event at the same moment
    Races,
    /// Everything published and everything dead replayed twice more
    Replay,
    /// Messages that are lost on their way to the broker
    Lossy,
    /// Messages that reach no queue
    Unrouted,
    /// Messages that reach no queue among others that do
    Neighbours,
    /// A system of two services, to be run and killed
    #[command(hide = true)]
    Ledger(Box<ledger::Ledger>),
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
    if let Some(Name::Ledger(ledger)) = &cli.name {
        return ledger::run(ledger, Duration::from_secs(cli.patience)).await;
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

/// Every run, also where an earlier one has failed.
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

/// Runs one, and says its verdict.
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
        Name::FullDisk => return full_disk::run(seed, quick, patience).await,
        Name::Durability => return durable().await,
        Name::Broken(broken) => return broken::run(broken, seed, quick).await,
        Name::Ledger(_) => {
            return Ok(Outcome::Failed("it is no run".to_owned()));
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
        wrong => (false, format!("{wrong} wrong")),
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
    /// As it is asked for.
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
            Self::Ledger(_) => "ledger",
        }
    }
}

/// What `--help` says of a run.
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
    fn each_run_is_known_by_its_title() {
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
