//! `cargo xtask lint`: all that `.ci/run` checks before the tests.
//!
//! Every check runs, also after another has failed, so that one run shows all there is to do.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::stop::Stop;
use crate::{buf, process, workspace};

pub(crate) fn run(stop: &Stop) -> Result<ExitCode> {
    let buf = buf::find(stop)?;
    let checks = [
        ("cargo fmt", cargo(&["fmt", "--all", "--check"])),
        ("cargo clippy", cargo(CLIPPY)),
        ("buf lint", at_root(&buf, &["lint"])),
        (
            "buf format",
            at_root(&buf, &["format", "-d", "--exit-code"]),
        ),
    ];
    let mut failed = Vec::new();
    for (name, mut command) in checks {
        eprintln!("xtask: {name}");
        if !process::run(&mut command, stop)?.success() {
            failed.push(name);
        }
    }
    if failed.is_empty() {
        eprintln!("xtask: all lints pass");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("xtask: failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

const CLIPPY: &[&str] = &[
    "clippy",
    "--workspace",
    "--all-targets",
    "--",
    "-D",
    "warnings",
];

fn cargo(args: &[&str]) -> Command {
    let mut command = workspace::cargo();
    command.args(args);
    command
}

fn at_root(program: &std::path::Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(workspace::root());
    command
}
