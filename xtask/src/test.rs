//! `cargo xtask test`: cargo's tests with the servers' URLs in the environment.
//!
//! Compiles the tests and starts the servers at the same time, then runs the tests.

use std::env;
use std::ffi::OsString;
use std::num::NonZero;
use std::process::{Command, ExitCode, ExitStatus};
use std::thread;

use anyhow::{Result, anyhow};
use processes::{Stop, Stopped, code, workspace};

use crate::servers::Servers;

pub(crate) fn run(args: &[OsString], stop: &Stop) -> Result<ExitCode> {
    run_with(args, &[], stop)
}

/// With `variables` in place of what the servers' environment has under their names.
pub(crate) fn run_with(
    args: &[OsString],
    variables: &[(&str, String)],
    stop: &Stop,
) -> Result<ExitCode> {
    let (servers, built) = thread::scope(|scope| {
        let starting = scope.spawn(|| {
            let servers = Servers::start(stop);
            if servers.is_err() {
                stop.request();
            }
            servers
        });
        let built = build(args, stop);
        if !built.as_ref().is_ok_and(ExitStatus::success) {
            stop.request();
        }
        let servers = starting
            .join()
            .unwrap_or_else(|_| Err(anyhow!("starting the servers panicked")));
        (servers, built)
    });

    // If both halves failed, one of them only because it was stopped, report the other.
    let servers = match servers {
        Err(error) if !error.is::<Stopped>() => return Err(error),
        servers => servers,
    };
    let built = built?;
    if !built.success() {
        return Ok(code(built));
    }
    let servers = servers?;

    let mut command = cargo_test(args);
    command.envs(servers.environment()?);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    if env::var_os(THREADS).is_none() {
        command.env(THREADS, threads().to_string());
    }
    let tested = processes::run(&mut command, stop)?;
    drop(servers);
    Ok(code(tested))
}

/// The tests of a program that run at the same time.
pub(crate) const THREADS: &str = "RUST_TEST_THREADS";

/// Three times as many as cores: tests mostly wait, for commits, servers and timers.
fn threads() -> usize {
    3 * thread::available_parallelism().map_or(1, NonZero::get)
}

/// Compiles the tests without running them. Succeeds immediately if there is nothing to compile.
fn build(args: &[OsString], stop: &Stop) -> Result<ExitStatus> {
    let own = for_cargo(args);
    if own.iter().any(|arg| arg == "--doc" || arg == "--no-run") {
        return Ok(ExitStatus::default());
    }
    let mut command = cargo_test(own);
    processes::run(command.arg("--no-run"), stop)
}

fn cargo_test(args: &[OsString]) -> Command {
    let mut command = workspace::cargo();
    command.arg("test");
    if !selects_packages(args) {
        command.arg("--workspace");
    }
    command.args(args);
    command
}

/// The arguments before `--`, for cargo; the others are for the test programs.
fn for_cargo(args: &[OsString]) -> &[OsString] {
    let end = args.iter().position(|arg| arg == "--");
    &args[..end.unwrap_or(args.len())]
}

fn selects_packages(args: &[OsString]) -> bool {
    for_cargo(args).iter().any(|arg| {
        let arg = arg.to_string_lossy();
        let short = arg.starts_with("-p");
        let package = arg == "--package" || arg.starts_with("--package=");
        short || package || arg == "--workspace" || arg == "--all"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(args: &[&str]) -> Vec<String> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let command = cargo_test(&args);
        let args = command.get_args().map(|arg| arg.to_string_lossy().into());
        args.collect()
    }

    #[test]
    fn the_whole_workspace_is_tested_unless_a_package_is_named() {
        assert_eq!(command(&[]), ["test", "--workspace"]);
        assert_eq!(command(&["relay"]), ["test", "--workspace", "relay"]);
        assert_eq!(command(&["-p", "event"]), ["test", "-p", "event"]);
        assert_eq!(command(&["-pevent"]), ["test", "-pevent"]);
        let long = command(&["--package=event"]);
        assert_eq!(long, ["test", "--package=event"]);
    }

    #[test]
    fn an_argument_of_the_test_programs_names_no_package() {
        let command = command(&["--", "-p"]);
        assert_eq!(command, ["test", "--workspace", "--", "-p"]);
    }

    #[test]
    fn arguments_of_the_test_programs_are_not_for_the_build() {
        let args = ["-p", "event", "--", "--nocapture"].map(OsString::from);
        assert_eq!(for_cargo(&args), &args[..2]);
    }
}
