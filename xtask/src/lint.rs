//! `cargo xtask lint`: everything that `.ci/run` checks before the tests.
//!
//! Every check runs, even after a failure, so that one run shows all problems.

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Result;

use crate::stop::Stop;
use crate::{advisories, buf, contracts, overlay, process, workspace};

pub(crate) fn run(stop: &Stop) -> Result<ExitCode> {
    let mut failed = Vec::new();
    for (name, args) in [
        ("cargo fmt", &["fmt", "--all", "--check"][..]),
        ("cargo clippy", CLIPPY),
        ("cargo clippy, short fault runs", CLIPPY_QUICK),
    ] {
        if !passes(name, workspace::cargo().args(args), stop)? {
            failed.push(name);
        }
    }
    eprintln!("xtask: overlay of the fault runs");
    if !overlay::check()? {
        failed.push("overlay of the fault runs");
    }
    if !advisories::check()? {
        failed.push("advisories");
    }
    // Only if it is installed, because it is a separate program that takes minutes to build.
    if has_deny() {
        let mut deny = Command::new("cargo-deny");
        deny.args(["--locked", "check", "bans", "licenses", "sources"]);
        if !passes("cargo deny", deny.current_dir(workspace::root()), stop)? {
            failed.push("cargo deny");
        }
        if !advisories::check_fetched(stop)? {
            failed.push("advisories of cargo-deny");
        }
    } else {
        eprintln!("xtask: cargo-deny is not installed, skipping it (cargo install cargo-deny)");
    }
    // After cargo's checks, so that a missing buf does not hide their results.
    let buf = buf::find(stop)?;
    for (name, args) in [
        ("buf lint", &["lint"][..]),
        ("buf format", &["format", "-d", "--exit-code"]),
    ] {
        let mut command = Command::new(&buf);
        command.args(args).current_dir(workspace::root());
        if !passes(name, &mut command, stop)? {
            failed.push(name);
        }
    }
    eprintln!("xtask: contracts check");
    if !contracts::check(stop)? {
        failed.push("contracts check");
    }
    if failed.is_empty() {
        eprintln!("xtask: all lints pass");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("xtask: failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

fn has_deny() -> bool {
    let mut version = Command::new("cargo-deny");
    let asked = process::output(version.arg("--version"), Duration::from_secs(20));
    asked.is_ok_and(|output| output.success("cargo-deny --version").is_ok())
}

fn passes(name: &str, command: &mut Command, stop: &Stop) -> Result<bool> {
    eprintln!("xtask: {name}");
    Ok(process::run(command, stop)?.success())
}

/// A target that no other command compiles is not among all targets.
const CLIPPY_QUICK: &[&str] = &[
    "clippy",
    "--workspace",
    "--test",
    "quick",
    "--",
    "-D",
    "warnings",
];

const CLIPPY: &[&str] = &[
    "clippy",
    "--workspace",
    "--all-targets",
    "--",
    "-D",
    "warnings",
];
