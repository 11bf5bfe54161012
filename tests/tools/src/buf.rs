//! Finds buf, the linter for protobuf files: installed, or downloaded once into the target folder.
//!
//! It is not a crate, so cargo cannot install it; PyPI and npm have the same program.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, Result, bail};
use processes::{output, workspace};

use crate::must;

/// The downloaded version. An installed buf may be another one, because its rules are additive.
const VERSION: &str = "1.75.0";

pub(crate) fn run(args: &[OsString]) -> Result<ExitStatus> {
    let mut buf = Command::new(find()?);
    buf.args(args).current_dir(workspace::root());
    Ok(buf.status()?)
}

pub(crate) fn find() -> Result<PathBuf> {
    let venv = workspace::state().join(format!("buf-{VERSION}-pypi"));
    let node = workspace::state().join(format!("buf-{VERSION}-npm"));
    let places = [
        PathBuf::from("buf"),
        venv.join("bin/buf"),
        node.join("node_modules/.bin/buf"),
    ];
    if let Some(buf) = places.iter().find(|buf| answers(buf)) {
        return Ok(buf.clone());
    }

    eprintln!("buf is not installed: fetching {VERSION} into the target folder");
    let from_pypi = fetch_from_pypi(&venv);
    if from_pypi.is_ok() && answers(&places[1]) {
        return Ok(places[1].clone());
    }
    let from_npm = fetch_from_npm(&node);
    if from_npm.is_ok() && answers(&places[2]) {
        return Ok(places[2].clone());
    }
    bail!(
        "buf is needed for the protobuf files and could not be fetched (PyPI: {}; npm: {}). \
         Install it so that `buf --version` works: https://buf.build/docs/cli/installation",
        outcome(from_pypi),
        outcome(from_npm),
    );
}

fn fetch_from_pypi(venv: &Path) -> Result<()> {
    // A download that was cut short must not count.
    remove(venv)?;
    let mut create = Command::new("python3");
    create.args(["-m", "venv"]).arg(venv);
    must(&mut create)?;
    let mut install = Command::new(venv.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet"]);
    install.args(["--disable-pip-version-check", "--no-input"]);
    install.arg(format!("buf-bin=={VERSION}"));
    must(&mut install)
}

fn fetch_from_npm(folder: &Path) -> Result<()> {
    remove(folder)?;
    let mut install = Command::new("npm");
    install.args(["install", "--no-audit", "--no-fund", "--no-save"]);
    install.arg("--loglevel=error").arg("--prefix").arg(folder);
    install.arg(format!("@bufbuild/buf@{VERSION}"));
    must(&mut install)
}

fn answers(buf: &Path) -> bool {
    output(Command::new(buf).arg("--version")).is_ok()
}

fn remove(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

fn outcome(result: Result<()>) -> String {
    match result {
        Ok(()) => "fetched, but it does not start".to_owned(),
        Err(error) => format!("{error:#}"),
    }
}
