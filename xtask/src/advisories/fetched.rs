//! The advisories of the database that `cargo deny fetch` got last, checked by cargo-deny.
//!
//! Without a database nothing is checked, and a line says so.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use processes::{Stop, workspace};

/// Whether no advisory that is known here concerns a crate of the lock file.
pub(super) fn check(stop: &Stop) -> Result<bool> {
    let Some((database, committed)) = newest()? else {
        eprintln!("xtask: advisories are not checked: no database was fetched (cargo deny fetch)");
        return Ok(true);
    };
    let age = super::age(committed);
    eprintln!(
        "xtask: advisories, from a database {age} ({})",
        database.display()
    );
    let mut deny = Command::new("cargo-deny");
    deny.args([
        "--locked",
        "--offline",
        "check",
        "--disable-fetch",
        "advisories",
    ]);
    let checked = processes::run(deny.current_dir(workspace::root()), stop)?;
    Ok(checked.success())
}

/// The database with the latest commit, and its time.
pub(super) fn newest() -> Result<Option<(PathBuf, SystemTime)>> {
    let home = cargo_home().context("neither CARGO_HOME nor HOME is set")?;
    let Ok(entries) = std::fs::read_dir(home.join("advisory-dbs")) else {
        return Ok(None);
    };
    let databases = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let committed = databases.filter_map(|path| Some((committed(&path)?, path)));
    Ok(committed.max().map(|(at, path)| (path, at)))
}

pub(super) fn committed(database: &Path) -> Option<SystemTime> {
    let mut log = Command::new("git");
    log.arg("-C")
        .arg(database)
        .args(["log", "-1", "--format=%ct"]);
    let seconds = processes::output(&mut log).ok()?.trim().parse().ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn cargo_home() -> Option<PathBuf> {
    let home = std::env::home_dir().map(|home| home.join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home)
}
