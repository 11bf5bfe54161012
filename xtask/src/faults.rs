//! `cargo xtask faults`: runs that break the system on purpose, with the servers' URLs in the environment.
//!
//! All arguments go to the program `faults`, also `--help`. `cargo xtask faults test` runs the short form of the runs as tests, and
//! its arguments go to the test program.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::overlay::build;
use crate::servers::{Plan, Servers};
use crate::stop::Stop;
use crate::{process, test, workspace};

pub(crate) fn run(args: &[OsString], stop: &Stop) -> Result<ExitCode> {
    let built = build::run(stop)?;
    if !built.success() {
        return Ok(test::code(built));
    }
    let mut command = match args.split_first() {
        Some((first, args)) if first == "test" => {
            let mut command = build::cargo_test();
            command.arg("--").args(args);
            command
        }
        _ => program(args)?,
    };
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        return Ok(test::code(process::run(&mut command, stop)?));
    }
    let servers = Servers::start(&Plan::make()?, stop)?;
    command.envs(servers.environment());
    let ended = process::run(&mut command, stop)?;
    drop(servers);
    Ok(test::code(ended))
}

/// It lies beside this program.
fn program(args: &[OsString]) -> Result<Command> {
    let xtask = env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(xtask.with_file_name("faults"));
    command.args(args).current_dir(workspace::root());
    Ok(command)
}
