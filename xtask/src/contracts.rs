//! `cargo xtask contracts` and `cargo xtask descriptors`: publishes the contracts and checks them for compatibility.
//!
//! The released contracts are in the repository: their descriptor set, which `buf breaking` compares with the proto
//! files, and the bytes of each event, which today's code must read.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use processes::{Stop, code, workspace};

use crate::package;

const RELEASED: &str = "shared/contracts/released/descriptors.binpb";

#[derive(clap::Subcommand)]
pub(crate) enum Contracts {
    /// Fail if the proto files break a released contract, a released event is read differently, or a generated file is
    /// outdated
    Check,
    /// Write the event catalogue, the AsyncAPI document and the service config for clients
    Docs,
    /// Release today's contracts: later ones must be compatible with them
    Release,
}

pub(crate) fn run(task: &Contracts, stop: &Stop) -> Result<ExitCode> {
    match task {
        Contracts::Check => {
            let passes = check(stop)?;
            Ok(if passes {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Contracts::Docs => published("docs", stop),
        Contracts::Release => published("release", stop),
    }
}

/// Runs both halves, even if the first fails.
pub(crate) fn check(stop: &Stop) -> Result<bool> {
    let documents = processes::run(&mut command("check"), stop)?.success();
    let released = workspace::root().join(RELEASED);
    if !released.exists() {
        eprintln!("xtask: no contracts are released yet, nothing to compare");
        return Ok(documents);
    }
    let mut breaking = package("tools");
    // Third-party contracts change with their own versions.
    breaking.args(["buf", "breaking", "proto", "--exclude-imports", "--against"]);
    let compatible = processes::run(breaking.arg(released), stop)?.success();
    Ok(compatible && documents)
}

/// Writes the descriptor set, for `grpcurl -protoset` and `buf curl --schema`.
pub(crate) fn descriptors(file: Option<&Path>, stop: &Stop) -> Result<ExitCode> {
    let default = || PathBuf::from("target").join("angarium.binpb");
    let file = file.map_or_else(default, Path::to_owned);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let output = File::create(&file).with_context(|| format!("cannot write {}", file.display()))?;
    let written = processes::run(command("descriptors").stdout(output), stop)?;
    if written.success() {
        eprintln!("xtask: wrote {}", file.display());
    }
    Ok(code(written))
}

fn published(task: &str, stop: &Stop) -> Result<ExitCode> {
    Ok(code(processes::run(&mut command(task), stop)?))
}

fn command(task: &str) -> Command {
    let mut command = workspace::cargo();
    command.args([
        "run",
        "--quiet",
        "--package",
        "contracts",
        "--example",
        "published",
        "--",
    ]);
    command.arg(task);
    command
}
