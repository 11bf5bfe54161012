//! `cargo xtask lint`: everything that `.ci/run` checks before the tests.
//!
//! Every check runs, even after a failure, so that one run shows all problems.

use std::process::{Command, ExitCode};

use anyhow::Result;
use processes::{Stop, output, workspace};

use crate::{advisories, contracts, package};

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
    let overlay = "overlay of the fault runs";
    if !passes(overlay, package("overlay").arg("check"), stop)? {
        failed.push(overlay);
    }
    if !advisories::check()? {
        failed.push("advisories");
    }
    // Only if it is installed, because it is a separate program that takes minutes to build.
    if is_installed("cargo-deny") {
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
    for (name, args) in [
        ("buf lint", &["buf", "lint"][..]),
        ("buf format", &["buf", "format", "-d", "--exit-code"]),
    ] {
        if !passes(name, package("tools").args(args), stop)? {
            failed.push(name);
        }
    }
    if is_installed("mdbook") {
        let mut build = Command::new("mdbook");
        let built = passes(
            "mdbook build",
            build.arg("build").current_dir(workspace::root()),
            stop,
        )?;
        let mut links = package("tools");
        links.args(["links", "target/book"]);
        if !built || !passes("links of the site", &mut links, stop)? {
            failed.push("site");
        }
    } else {
        eprintln!("xtask: mdbook is not installed, skipping the site (cargo install mdbook)");
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

fn is_installed(program: &str) -> bool {
    output(Command::new(program).arg("--version")).is_ok()
}

fn passes(name: &str, command: &mut Command, stop: &Stop) -> Result<bool> {
    eprintln!("xtask: {name}");
    Ok(processes::run(command, stop)?.success())
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
