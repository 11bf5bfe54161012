//! `cargo xtask rollout`: replaces all services with those of this checkout under load, and rolls back.
//!
//! Builds the programs of an older commit and those of this checkout, and starts the program `rollout` with both.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

use crate::servers::{Plan, Servers};
use crate::stop::Stop;
use crate::{process, test, workspace};

/// The first commit with a schema and events that all later commits must support.
const FIRST: &str = "c1c50e9";

const SERVICES: [&str; 3] = ["user-service", "order-service", "notification-service"];
const LIMIT: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(crate) struct Rollout {
    /// The commit of the old release
    #[arg(long, value_name = "COMMIT", default_value = FIRST)]
    from: String,
    /// Calls after each replaced replica
    #[arg(long, value_name = "N", default_value_t = 30)]
    calls: usize,
}

pub(crate) fn run(rollout: &Rollout, stop: &Stop) -> Result<ExitCode> {
    let commit = match commit(&rollout.from)? {
        Found::Commit(commit) => commit,
        Found::NoHistory(reason) => {
            eprintln!("xtask: skipping rollout, which needs the repository's history: {reason}");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let source = source(&commit)?;
    eprintln!("xtask: building {commit}; the first time takes minutes");
    let old = target().join("build");
    let mut build = cargo_in(&source, &old);
    if let Some(failed) = failed(&mut build, stop)? {
        return Ok(failed);
    }
    let mut build = workspace::cargo();
    build.args(["build", "--quiet", "--package", "scenarios"]);
    for service in SERVICES {
        build.args(["--package", service]);
    }
    if let Some(failed) = failed(&mut build, stop)? {
        return Ok(failed);
    }

    let new = beside()?;
    let servers = Servers::start(&Plan::make()?, stop)?;
    let mut command = Command::new(new.join("rollout"));
    command.arg("--old").arg(old.join("debug"));
    command.arg("--new").arg(&new);
    command.arg("--calls").arg(rollout.calls.to_string());
    command.envs(servers.environment());
    let ended = process::run(&mut command, stop)?;
    drop(servers);
    Ok(test::code(ended))
}

enum Found {
    /// The full hash.
    Commit(String),
    /// This folder is not a repository, or a shallow clone.
    NoHistory(String),
}

fn commit(name: &str) -> Result<Found> {
    let parsed = git(&[
        "rev-parse",
        "--verify",
        "--quiet",
        &format!("{name}^{{commit}}"),
    ])?;
    if parsed.status.success() {
        return Ok(Found::Commit(parsed.stdout.trim().to_owned()));
    }
    let shallow = git(&["rev-parse", "--is-shallow-repository"])?;
    match (shallow.status.success(), shallow.stdout.trim()) {
        (false, _) => Ok(Found::NoHistory(shallow.stderr.trim().to_owned())),
        (true, "true") => Ok(Found::NoHistory("the clone is shallow".to_owned())),
        (true, _) => bail!("the repository has no commit {name}"),
    }
}

/// A folder with the files of this commit. Removes the previous one, so that there is only one copy.
fn source(commit: &str) -> Result<PathBuf> {
    let folder = target().join("source");
    let mark = folder.join(".commit");
    if fs::read_to_string(&mark).is_ok_and(|found| found == commit) {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let archive = target().join("source.tar");
    let file = format!("--output={}", archive.display());
    git(&["archive", "--format=tar", &file, commit])?.success("git archive")?;
    let mut unpack = Command::new("tar");
    unpack.arg("-xf").arg(&archive).arg("-C").arg(&folder);
    process::output(&mut unpack, LIMIT)?.success("tar")?;
    fs::remove_file(&archive)?;
    // Last, so that a run that was interrupted here starts over.
    fs::write(&mark, commit)?;
    Ok(folder)
}

/// Without debug information, which shortens the build: the programs only run.
fn cargo_in(source: &Path, target: &Path) -> Command {
    let mut build = workspace::cargo();
    build.current_dir(source).args(["build", "--quiet"]);
    for service in SERVICES {
        build.args(["--package", service]);
    }
    build.env("CARGO_TARGET_DIR", target);
    build.env("CARGO_PROFILE_DEV_DEBUG", "false");
    build
}

fn failed(build: &mut Command, stop: &Stop) -> Result<Option<ExitCode>> {
    let built = process::run(build, stop)?;
    Ok((!built.success()).then(|| test::code(built)))
}

fn git(args: &[&str]) -> Result<process::Output> {
    let mut command = Command::new("git");
    command.current_dir(workspace::root()).args(args);
    process::output(&mut command, LIMIT)
}

fn target() -> PathBuf {
    workspace::state().join("rollout")
}

/// The folder of the built programs, including xtask.
fn beside() -> Result<PathBuf> {
    let xtask = env::current_exe().context("cannot find this program's own file")?;
    let folder = xtask.parent().context("this program has no folder")?;
    Ok(folder.to_owned())
}
