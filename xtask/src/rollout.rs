//! `cargo xtask rollout`: replaces all services by those of this checkout under load, and goes back.
//!
//! Builds the programs of a released state from the repository's history and those of this checkout, and starts the program
//! `rollout` with both.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

use crate::servers::{Plan, Servers};
use crate::stop::Stop;
use crate::{process, test, workspace};

/// The first state with the schema and the events that every later state has to work with.
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
            eprintln!(
                "xtask: rollout is left out, because it needs the repository's history: {reason}"
            );
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
    /// All its digits.
    Commit(String),
    /// This folder is no repository, or a shallow one.
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

/// A folder with the files of this commit. An older one is removed, so that one copy is kept.
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
    // Last, so that a run that was stopped here begins again.
    fs::write(&mark, commit)?;
    Ok(folder)
}

/// Without debug information: the programs are only run, and the build is shorter.
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

/// The folder with the programs that cargo has built, xtask among them.
fn beside() -> Result<PathBuf> {
    let xtask = env::current_exe().context("cannot find this program's own file")?;
    let folder = xtask.parent().context("this program has no folder")?;
    Ok(folder.to_owned())
}
