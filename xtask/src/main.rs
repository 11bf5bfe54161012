//! `cargo xtask …`: tasks that need more than cargo.
//!
//! Lints, contracts, tests and fault runs on real servers, and scenarios on the containers of docker-compose.yml.
//! Everything that it starts is stopped: after success, a failure, Ctrl-C or SIGTERM, and at its next start after a
//! kill -9.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool prints its output"
)]

mod advisories;
mod bench;
mod buf;
mod clients;
mod compose;
mod contracts;
mod faults;
mod images;
mod lint;
mod outside;
mod overlay;
mod process;
mod rollout;
mod servers;
mod stop;
mod test;
mod tools;
mod workspace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::servers::own::{self, Product};
use crate::stop::Stop;

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
    /// `cargo xtask faults test` runs the short form of all runs as tests
    #[command(disable_help_flag = true)]
    Faults {
        /// Arguments for the program `faults`; `--help` lists them
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "ARGS"
        )]
        args: Vec<OsString>,
    },

    /// Renew the patch that adds the switches of the fault runs to a copy of the sources
    #[command(subcommand)]
    Overlay(overlay::Overlay),

    /// Compare the services with a bare floor: `cargo xtask bench [--quick] [--rounds N] [--profile NAME]`
    #[command(disable_help_flag = true)]
    Bench {
        /// Arguments for the program `bench`; `--help` lists them. `--profile` selects a cargo profile other than
        /// release
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "ARGS"
        )]
        args: Vec<OsString>,
    },

    /// Replace an older release by this one under load, replica by replica, and roll back
    Rollout(rollout::Rollout),

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
    Clients,

    /// Build the programs that the tests run, such as grpcurl, below target/, and print their paths
    Tools(tools::Tools),

    /// Run the clients of all languages and programs such as grpcurl, Prometheus and Jaeger against the services
    Outside(outside::Outside),

    /// Start the servers of the tests, print their addresses as export lines, and keep them running until Ctrl-C: for
    /// quick runs of `cargo test` in another shell
    #[command(after_long_help = SERVERS_HELP)]
    Servers,

    /// Start one private server that obeys its input: kill, stop, start
    #[command(hide = true)]
    Own {
        #[arg(value_enum)]
        product: Product,
    },
}

const SERVERS_HELP: &str = "\
For each of the two servers, the first available source is used:
  1. ANGARIUM_TEST_POSTGRES_URL (a superuser's) and ANGARIUM_TEST_AMQP_URL in the environment; with the
     latter also ANGARIUM_TEST_RABBITMQCTL, a command line that runs rabbitmqctl on that broker
  2. installed programs, as private instances: own folder, ports, node name and password;
     a server that already runs on this machine is never touched
  3. Docker: postgres:18 and rabbitmq:4-management
  4. as root on Debian or Ubuntu: apt-get install, then as 2
ANGARIUM_TEST_OWN_SERVER is set to a command line that starts a private PostgreSQL or RabbitMQ, for tests that kill servers. Without
their programs, such tests are skipped with a message. ANGARIUM_TEST_CLIENTS is set to a command line that prepares the example clients
for the tests that run them; it needs Python and Node.js. ANGARIUM_TEST_TOOLS is set to a command line that builds grpcurl and
health probes; it needs Go.
Started servers are stopped, also after a failure, Ctrl-C or SIGTERM.";

fn main() -> ExitCode {
    let task = Cli::parse().task;
    let stop = match Stop::on_signals() {
        Ok(stop) => stop,
        Err(error) => return failure(&error),
    };
    let result = run(&task, &stop);
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

fn run(task: &Task, stop: &Stop) -> Result<ExitCode> {
    match task {
        Task::Lint => lint::run(stop),
        Task::Test { args } => test::run(args, stop),
        Task::Faults { args } => faults::run(args, stop),
        Task::Overlay(task) => overlay::run(task),
        Task::Rollout(rollout) => rollout::run(rollout, stop),
        Task::Bench { args } => bench::run(args, stop),
        Task::ComposeTest => compose::run(stop),
        Task::Contracts(task) => contracts::run(task, stop),
        Task::Advisories(advisories) => advisories::run(advisories),
        Task::Images(task) => images::run(task),
        Task::Descriptors { file } => contracts::descriptors(file.as_deref(), stop),
        Task::Clients => clients::run(stop),
        Task::Tools(tools) => tools::run(tools, stop),
        Task::Outside(outside) => outside::run(outside, stop),
        Task::Servers => servers::keep(stop),
        Task::Own { product } => own::run(*product, stop),
    }
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
        let Task::Faults { args } = Cli::try_parse_from(line)?.task else {
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
