//! `cargo xtask …`: tasks that need more than cargo.
//!
//! It starts the servers and runs cargo, or another package that does the task. Everything that it starts ends with it: after
//! success, a failure, Ctrl-C or SIGTERM, and also after a kill -9.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool prints its output"
)]

mod advisories;
mod bench;
mod contracts;
mod faults;
mod images;
mod instructions;
mod lint;
mod outside;
mod servers;
mod test;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use processes::{Stop, code, workspace};

use crate::servers::Servers;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run all static checks: formatting, clippy, protobuf files; print which failed
    Lint,

    /// Run the tests on a real PostgreSQL and a real RabbitMQ
    #[command(after_long_help = SERVERS_HELP)]
    Test {
        /// Arguments for `cargo test`, as in `cargo xtask test -- -p messaging relay -- --nocapture`; without -p it
        /// tests the whole workspace
        #[arg(last = true, value_name = "ARGS")]
        args: Vec<OsString>,
    },

    /// Break the system on purpose and check the result: `cargo xtask faults [NAME] [--seed N] [--quick]`;
    /// `cargo xtask faults test` runs the short form of most runs as tests
    #[command(disable_help_flag = true)]
    Faults(Args),

    /// Renew the patch that adds the switches of the fault runs to a copy of the sources: `edit`, then `save`
    #[command(disable_help_flag = true)]
    Overlay(Args),

    /// Compare the services with a bare floor: `cargo xtask bench [--quick] [--rounds N] [--profile NAME]`
    #[command(disable_help_flag = true)]
    Bench(Args),

    /// Replace an older release by this one under load, replica by replica, and roll back:
    /// `cargo xtask rollout [--from COMMIT] [--calls N]`
    #[command(disable_help_flag = true)]
    Rollout(Args),

    /// Test docker-compose.yml: build, start, restart and kill every part under load, scale, and remove
    ComposeTest,

    /// Check, release or document the contracts
    #[command(subcommand)]
    Contracts(contracts::Contracts),

    /// Check the locked crates against the copy of the advisory database, and say how old it is
    Advisories(advisories::Advisories),

    /// List the images that the containers are made of, or pin them by digest
    #[command(subcommand)]
    Images(images::Images),

    /// Write the descriptor set, for `grpcurl -protoset` and `buf curl --schema`
    Descriptors {
        /// Output file; by default target/angarium.binpb
        file: Option<PathBuf>,
    },

    /// Prepare the example clients below target/, as the tests run them, and print their folders
    #[command(disable_help_flag = true)]
    Clients(Args),

    /// Build the programs that the tests run, such as grpcurl, below target/, and print their paths
    #[command(disable_help_flag = true)]
    Tools(Args),

    /// Run the clients of all languages and programs such as grpcurl, Prometheus and Jaeger against the services
    Outside(outside::Outside),

    /// Start the servers of the tests, print their addresses as export lines, and keep them running until Ctrl-C: for
    /// quick runs of `cargo test` in another shell
    #[command(after_long_help = SERVERS_HELP)]
    Servers,
}

#[derive(clap::Args)]
struct Args {
    /// Arguments for the program of the task; `--help` lists them
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    args: Vec<OsString>,
}

const SERVERS_HELP: &str = "\
For each of the two servers, the first available source is used:
  1. ANGARIUM_TEST_POSTGRES_URL (a superuser's) and ANGARIUM_TEST_AMQP_URL in the environment; with the
     latter also ANGARIUM_TEST_RABBITMQCTL, a command line that runs rabbitmqctl on that broker
  2. installed programs, as private instances: own folder, ports, node name and password;
     a server that already runs on this machine is never touched
  3. as root on Debian or Ubuntu: apt-get install, then as 2
Tests that kill servers start private instances of their own. Without the programs, such tests are skipped with a message.
ANGARIUM_TEST_CLIENTS is set to a command line that prepares the example clients for the tests that run them; it needs Python and
Node.js. ANGARIUM_TEST_TOOLS is set to a command line that builds grpcurl and health probes; it needs Go.
Started servers are stopped, also after a failure, Ctrl-C, SIGTERM or SIGKILL.";

fn main() -> ExitCode {
    let task = Cli::parse().task;
    let stop = match Stop::on_signals() {
        Ok(stop) => stop,
        Err(error) => return failure(&error),
    };
    let result = perform(&task, &stop);
    match (stop.signal(), result) {
        (Some(_), Ok(code)) if matches!(task, Task::Servers) => code,
        (Some(signal), _) => {
            eprintln!(
                "xtask: stopped by signal {signal}, together with everything that it started"
            );
            ExitCode::from(128_u8.saturating_add(signal))
        }
        (None, Ok(code)) => code,
        (None, Err(error)) => failure(&error),
    }
}

fn perform(task: &Task, stop: &Stop) -> Result<ExitCode> {
    match task {
        Task::Lint => lint::run(stop),
        Task::Test { args } => test::run(args, stop),
        Task::Faults(Args { args }) => faults::run(args, stop),
        Task::Overlay(Args { args }) => finish(package("overlay").args(args), stop),
        Task::Rollout(Args { args }) => rollout(args, stop),
        Task::Bench(Args { args }) => bench::run(args, stop),
        Task::ComposeTest => finish(&mut compose_test(), stop),
        Task::Contracts(task) => contracts::run(task, stop),
        Task::Advisories(advisories) => advisories::run(advisories),
        Task::Images(task) => images::run(task),
        Task::Descriptors { file } => contracts::descriptors(file.as_deref(), stop),
        Task::Clients(Args { args }) => finish(package("tools").arg("clients").args(args), stop),
        Task::Tools(Args { args }) => finish(package("tools").arg("build").args(args), stop),
        Task::Outside(outside) => outside::run(outside, stop),
        Task::Servers => servers::keep(stop),
    }
}

const RELEASED: [&str; 4] = [
    "scenarios",
    "user-service",
    "order-service",
    "notification-service",
];

/// The program finds this release's services in its own folder.
fn rollout(args: &[OsString], stop: &Stop) -> Result<ExitCode> {
    let built = processes::run(&mut build(&RELEASED), stop)?;
    if !built.success() {
        return Ok(code(built));
    }
    let mut rollout = beside("rollout")?;
    on_servers(rollout.args(args), args, stop)
}

fn compose_test() -> Command {
    let mut command = workspace::cargo();
    command.args([
        "run",
        "--quiet",
        "--package",
        "scenarios",
        "--bin",
        "compose",
    ]);
    command
}

/// Runs a program with the servers' URLs in its environment. Its help needs no server.
fn on_servers(command: &mut Command, args: &[OsString], stop: &Stop) -> Result<ExitCode> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        return finish(command, stop);
    }
    let servers = Servers::start(stop)?;
    finish(command.envs(servers.environment()?), stop)
}

fn finish(command: &mut Command, stop: &Stop) -> Result<ExitCode> {
    Ok(code(processes::run(command, stop)?))
}

/// Cargo that builds and runs the program of a package.
fn package(name: &str) -> Command {
    let mut command = workspace::cargo();
    command.args(["run", "--quiet", "--package", name, "--"]);
    command
}

/// Cargo that builds several packages at once, so that they share the features of their dependencies.
fn build(packages: &[&str]) -> Command {
    let mut command = workspace::cargo();
    command.args(["build", "--quiet"]);
    for package in packages {
        command.args(["--package", package]);
    }
    command
}

/// A built program. It lies beside this one.
fn beside(name: &str) -> Result<Command> {
    let xtask = env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(xtask.with_file_name(name));
    command.current_dir(workspace::root());
    Ok(command)
}

fn failure(error: &anyhow::Error) -> ExitCode {
    eprintln!("xtask: error: {error:#}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn args_of(line: &[&str]) -> Option<Vec<OsString>> {
        match Cli::try_parse_from(line).ok()?.task {
            Task::Test { args } => Some(args),
            _ => None,
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn everything_after_the_first_double_dash_is_for_cargo_test() {
        let args = args_of(&["xtask", "test", "--", "-p", "user", "--", "--nocapture"]);
        let expected = ["-p", "user", "--", "--nocapture"].map(OsString::from);
        assert_eq!(args, Some(expected.to_vec()));
    }

    #[test]
    fn everything_after_faults_is_for_its_program() -> Result<(), clap::Error> {
        let line = ["xtask", "faults", "crash", "--seed", "7", "--help"];
        let Task::Faults(Args { args }) = Cli::try_parse_from(line)?.task else {
            unreachable!("another task was asked for");
        };
        assert_eq!(args, ["crash", "--seed", "7", "--help"].map(OsString::from));
        Ok(())
    }

    #[test]
    fn an_argument_before_the_double_dash_is_refused() {
        assert_eq!(args_of(&["xtask", "test", "-p", "user"]), None);
    }
}
