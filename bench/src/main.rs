//! Measures the services and a bare floor, on private servers, and checks that no effect was lost or duplicated
//! meanwhile.
//!
//! `cargo xtask bench` builds all programs and starts this one. It prints a Markdown table; `--json` writes every
//! figure of every round. The exit code is 2 if an effect was lost or duplicated. All started programs end with this
//! one.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its purpose is to print tables and progress"
)]

mod drain;
mod drive;
mod effects;
mod embedded;
mod floor;
mod machine;
mod ours;
mod outbox;
mod phase;
mod place_order;
mod proc;
mod report;
mod rounds;
mod servers;
mod sink;
mod system;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use sea_orm::sqlx::{self, Connection as _, PgConnection};
use tokio::signal::unix::{SignalKind, signal};

use crate::report::Report;
use crate::rounds::{Kind, Plan};
use crate::servers::Servers;

/// Exit code: an effect was lost or duplicated.
const WRONG: u8 = 2;
const INTERRUPTED: u8 = 130;

#[derive(Parser)]
#[command(name = "cargo xtask bench", about)]
struct Cli {
    /// What to measure; by default the services compared with the floor
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    compare: Compare,
    /// Also write all figures to this file
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A setting of the measured services, such as PREFETCH=100; may be repeated
    #[arg(long, global = true, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<ours::Setting>,
}

#[derive(Args)]
struct Compare {
    /// A run of a minute that checks the bench itself; its figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Rounds per system
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Duration of each load in seconds
    #[arg(long, value_name = "N", default_value_t = 20)]
    seconds: u64,
    /// Duration of the warm-up in seconds
    #[arg(long, value_name = "N", default_value_t = 5)]
    warm_up_seconds: u64,
    /// Users that order in turn; each may make 200 calls per second
    #[arg(long, value_name = "N", default_value_t = 32)]
    users: usize,
    /// Callers of the closed loop
    #[arg(long, value_name = "N", default_value_t = 32)]
    callers: usize,
    /// Calls per second of the open loop
    #[arg(long, value_name = "N", default_value_t = 200)]
    rate: u32,
    /// Give each call a `request_id`, as clients with retries do
    #[arg(long)]
    request_ids: bool,
    /// Measure only one system
    #[arg(long, value_name = "SYSTEM")]
    only: Option<Kind>,
}

#[derive(Subcommand)]
enum What {
    /// Drain the backlogs of the relay and the inbox, and compare each rate with its upper bound
    Drain(drain::Settings),
    /// Compare the relay's rate on empty tables, on large tables, and with an old snapshot
    Outbox(outbox::Settings),
    /// Measure all services in one program, on SQLite and the embedded transport
    Embedded(embedded::Settings),
    /// Count the instructions of the hot path under callgrind, each with a limit; needs valgrind
    Instructions,
    /// Send only the load, to another server with the same contract
    Drive(drive::Settings),
    /// The bare floor, started by the bench
    #[command(hide = true)]
    Floor(floor::Settings),
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = tokio::select! {
        result = run(&cli) => result,
        signal = interrupted() => signal.map(|()| at_signal(&cli)),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Returns at the first termination signal. The run is then dropped, which removes everything that it made.
async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// The floor ends only by a signal.
fn at_signal(cli: &Cli) -> ExitCode {
    if matches!(cli.what, Some(What::Floor(_))) {
        return ExitCode::SUCCESS;
    }
    eprintln!("interrupted: all started programs are stopped");
    ExitCode::from(INTERRUPTED)
}

async fn run(cli: &Cli) -> Result<ExitCode> {
    let json = cli.json.as_deref();
    match &cli.what {
        None => compare(&cli.compare.plan(&cli.set), json).await,
        Some(What::Drain(settings)) => {
            let measured = drain::run(settings, build(), &cli.set).await?;
            println!("{}\n", drain::markdown(&measured));
            write(json, &measured)?;
            Ok(code(measured.wrong.is_empty()))
        }
        Some(What::Outbox(settings)) => {
            let measured = outbox::run(settings, build(), &cli.set).await?;
            println!("{}\n", outbox::markdown(&measured));
            write(json, &measured)?;
            Ok(code(measured.wrong.is_empty()))
        }
        Some(What::Embedded(settings)) => {
            let measured = embedded::run(settings, build()).await?;
            println!("{}\n", measured.markdown());
            write(json, &measured)?;
            Ok(code(measured.wrong.is_empty()))
        }
        Some(What::Drive(settings)) => {
            println!("{}", drive::run(settings).await?);
            Ok(ExitCode::SUCCESS)
        }
        // It needs another build, so `cargo xtask` does it.
        Some(What::Instructions) => {
            anyhow::bail!("run `cargo xtask bench instructions`")
        }
        Some(What::Floor(settings)) => floor::serve(settings).await,
    }
}

async fn compare(plan: &Plan, json: Option<&Path>) -> Result<ExitCode> {
    let servers = Servers::start().await?;
    eprintln!("{}", servers.versions);
    let report = Report {
        command: command(),
        build: build(),
        date: date(&servers).await?,
        machine: machine::description(),
        servers: servers.versions.clone(),
        plan: plan.clone(),
        rounds: rounds::run(plan, &servers).await?,
    };
    println!("{}", report.markdown());
    write(json, &report)?;
    Ok(code(report.is_right()))
}

impl Compare {
    fn plan(&self, set: &[ours::Setting]) -> Plan {
        let systems = self
            .only
            .map_or(vec![Kind::Ours, Kind::Floor], |kind| vec![kind]);
        if self.quick {
            return Plan {
                rounds: 1,
                seconds: 2,
                warm_up_seconds: 1,
                users: 2,
                callers: 4,
                per_second: 10,
                request_ids: self.request_ids,
                set: set.to_vec(),
                systems,
            };
        }
        Plan {
            rounds: self.rounds,
            seconds: self.seconds,
            warm_up_seconds: self.warm_up_seconds,
            users: self.users,
            callers: self.callers,
            per_second: self.rate,
            request_ids: self.request_ids,
            set: set.to_vec(),
            systems,
        }
    }
}

fn setting(text: &str) -> Result<ours::Setting, String> {
    let (name, value) = text.split_once('=').ok_or("a setting is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn code(right: bool) -> ExitCode {
    if right {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(WRONG)
    }
}

fn write(file: Option<&Path>, report: &impl serde::Serialize) -> Result<()> {
    let Some(file) = file else {
        return Ok(());
    };
    let text = serde_json::to_string_pretty(report)?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn command() -> String {
    let args: Vec<String> = std::env::args().skip(1).collect();
    format!("cargo xtask bench {}", args.join(" "))
        .trim()
        .to_owned()
}

fn build() -> &'static str {
    if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    }
}

async fn date(servers: &Servers) -> Result<String> {
    let mut connection = PgConnection::connect(servers.postgres.url().as_str()).await?;
    let now = "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')";
    let date: String = sqlx::query_scalar(now).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(format!("{date} UTC"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
