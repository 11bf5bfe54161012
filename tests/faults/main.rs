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
mod checker;
mod crash;
mod database;
mod deposit;
mod durability;
mod late_commit;
mod ledger;
mod load;
mod losses;
mod network;
mod order;
mod poison;
mod races;
mod replay;
mod tables;
mod text;
mod watch;
mod wire;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::checker::Verdict;

/// What must hold did not.
const VIOLATED: u8 = 2;

#[derive(Parser)]
#[command(name = "cargo xtask faults", about)]
struct Cli {
    /// Which; without it, all of them
    #[command(subcommand)]
    name: Option<Name>,
    /// Repeats a run
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// A short form of each
    #[arg(long, global = true)]
    quick: bool,
    /// Seconds within which a system must become quiet again
    #[arg(long, global = true, default_value_t = 60)]
    patience: u64,
}

#[derive(Subcommand)]
enum Name {
    /// Sudden death at each point
    Crash(crash::Crash),
    /// Eight mistakes that must be noticed
    Broken,
    /// Order with several relays and consumers, failures and kills
    Order,
    /// A transaction that commits after its successor was published
    LateCommit,
    /// A broker that is restarted, killed, away, locked and deleted from under load
    Broker,
    /// Links to the broker and to the databases that are cut, half open, slow, narrow or reset under load
    Network,
    /// Sessions of the database that end under load
    Database,
    /// Settings of live connections
    Durability,
    /// Messages that nobody can handle, among many that anybody can
    Poison,
    /// The same command and the same event at the same moment
    Races,
    /// Everything published and everything dead replayed twice more
    Replay,
    /// Messages that are lost on their way to the broker
    Lossy,
    /// Messages that reach no queue
    Unrouted,
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
    let Some(name) = &cli.name else {
        return all(cli, seed).await;
    };
    one(cli, name, seed).await.map(code)
}

/// Every run, also where an earlier one has failed.
async fn all(cli: &Cli, seed: u64) -> Result<ExitCode> {
    let mut passed = true;
    for name in [
        Name::Crash(crash::Crash::everywhere()),
        Name::Order,
        Name::LateCommit,
        Name::Broker,
        Name::Network,
        Name::Database,
        Name::Durability,
        Name::Poison,
        Name::Races,
        Name::Replay,
        Name::Lossy,
        Name::Unrouted,
        Name::Broken,
    ] {
        match one(cli, &name, seed).await {
            Ok(one) => passed &= one,
            Err(error) => {
                eprintln!("error: {error:#}");
                passed = false;
            }
        }
    }
    Ok(code(passed))
}

async fn one(cli: &Cli, name: &Name, seed: u64) -> Result<bool> {
    let (quick, patience) = (cli.quick, cli.patience);
    let (title, verdict) = match name {
        Name::Crash(crash) => {
            let mut crash = crash.clone();
            if quick {
                crash.repeats = 1;
            }
            ("crash", crash::run(&crash, seed, patience).await?)
        }
        Name::Order => ("order", order::run(seed, quick, patience).await?),
        Name::LateCommit => {
            let rounds = if quick { 10 } else { 200 };
            let patience = Duration::from_secs(patience);
            ("late-commit", late_commit::run(rounds, patience).await?)
        }
        Name::Broker => ("broker", broker::run(seed, quick, patience).await?),
        Name::Network => ("network", network::run(seed, quick, patience).await?),
        Name::Database => ("database", database::run(seed, quick, patience).await?),
        Name::Poison => ("poison", poison::run(seed, quick, patience).await?),
        Name::Races => {
            let rounds = if quick { 5 } else { 100 };
            let patience = Duration::from_secs(patience);
            ("races", races::run(rounds, seed, patience).await?)
        }
        Name::Replay => ("replay", replay::run(seed, quick, patience).await?),
        Name::Lossy => ("lossy", losses::lossy(seed, patience).await?),
        Name::Unrouted => ("unrouted", losses::unrouted(seed, patience).await?),
        Name::Durability => return durable().await,
        Name::Broken => return broken::run(seed).await,
        Name::Ledger(_) => return Ok(true),
    };
    Ok(told(title, &verdict))
}

async fn durable() -> Result<bool> {
    let wrong = durability::run().await?;
    for wrong in &wrong {
        println!("durability: {wrong}");
    }
    let verdict = if wrong.is_empty() { "pass" } else { "FAIL" };
    println!("durability: {verdict} wrong={}", wrong.len());
    Ok(wrong.is_empty())
}

fn told(title: &str, verdict: &Verdict) -> bool {
    println!("{title}: {verdict}");
    verdict.passes()
}

fn code(passed: bool) -> ExitCode {
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(VIOLATED)
    }
}
