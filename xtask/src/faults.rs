//! `cargo xtask faults`: runs that break the system on purpose, with the servers' URLs in the environment.
//!
//! All arguments go to the program `faults`, also `--help`.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::servers::{Plan, Servers};
use crate::stop::Stop;
use crate::{process, test, workspace};

const PROGRAM: [&str; 5] = ["--package", "e2e", "--bin", "faults", "--quiet"];

pub(crate) fn run(args: &[OsString], stop: &Stop) -> Result<ExitCode> {
    let built = process::run(workspace::cargo().arg("build").args(PROGRAM), stop)?;
    if !built.success() {
        return Ok(test::code(built));
    }
    let mut command = workspace::cargo();
    command.arg("run").args(PROGRAM).arg("--").args(args);
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        return Ok(test::code(process::run(&mut command, stop)?));
    }
    let servers = Servers::start(&Plan::make()?, stop)?;
    command.envs(servers.environment());
    let ended = process::run(&mut command, stop)?;
    drop(servers);
    Ok(test::code(ended))
}
