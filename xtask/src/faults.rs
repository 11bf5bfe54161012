//! `cargo xtask faults`: runs that break the system on purpose, with the servers' URLs in the environment.
//!
//! The package `overlay` builds the program with its switches. All arguments go to that program, also `--help`. `cargo xtask faults
//! test` runs the short form of the runs as tests, one at a time, because a run judges how soon the system recovers. Its arguments go to
//! the test program.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use processes::{Stop, code};

use crate::test::THREADS;
use crate::{beside, on_servers, package};

pub(crate) fn run(args: &[OsString], stop: &Stop) -> Result<ExitCode> {
    let built = processes::run(package("overlay").arg("build"), stop)?;
    if !built.success() {
        return Ok(code(built));
    }
    let mut command = match args.split_first() {
        Some((first, args)) if first == "test" => {
            let mut command = package("overlay");
            command.arg("test").args(args);
            if env::var_os(THREADS).is_none() {
                command.env(THREADS, "1");
            }
            command
        }
        _ => {
            let mut command = beside("faults")?;
            command.args(args);
            command
        }
    };
    on_servers(&mut command, args, stop)
}
