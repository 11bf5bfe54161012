//! Security advisories, as the last database that was fetched has them: a check that needs no network, and says how old it is.
//!
//! Without a database nothing is checked, and a line says so. `cargo deny fetch` gets a new one, as CI does every day.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use crate::stop::Stop;
use crate::{process, workspace};

const LIMIT: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[expect(
    clippy::disallowed_methods,
    reason = "the age of a file on this machine"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Whether no advisory that is known here concerns a crate of the lock file.
pub(crate) fn check(stop: &Stop) -> Result<bool> {
    let Some((database, committed)) = newest()? else {
        eprintln!("xtask: advisories are not checked: no database was fetched (cargo deny fetch)");
        return Ok(true);
    };
    let age = age(committed, now());
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
    let checked = process::run(deny.current_dir(workspace::root()), stop)?;
    Ok(checked.success())
}

/// The database with the latest commit, and its time.
fn newest() -> Result<Option<(PathBuf, SystemTime)>> {
    let home = cargo_home().context("neither CARGO_HOME nor HOME is set")?;
    let Ok(entries) = std::fs::read_dir(home.join("advisory-dbs")) else {
        return Ok(None);
    };
    let databases = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let committed = databases.filter_map(|path| Some((committed(&path)?, path)));
    Ok(committed.max().map(|(at, path)| (path, at)))
}

fn committed(database: &Path) -> Option<SystemTime> {
    let mut log = Command::new("git");
    log.arg("-C")
        .arg(database)
        .args(["log", "-1", "--format=%ct"]);
    let output = process::output(&mut log, LIMIT).ok()?;
    let seconds = output.stdout.trim().parse().ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn age(committed: SystemTime, now: SystemTime) -> String {
    let age = now.duration_since(committed).unwrap_or_default();
    match age.as_secs() / DAY.as_secs() {
        0 => "of today".to_owned(),
        1 => "of yesterday".to_owned(),
        days => format!("that is {days} days old"),
    }
}

fn cargo_home() -> Option<PathBuf> {
    let home = std::env::home_dir().map(|home| home.join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_the_database_is_in_days() {
        let now = UNIX_EPOCH + 1000 * DAY;
        for (before, text) in [
            (Duration::ZERO, "of today"),
            (DAY, "of yesterday"),
            (40 * DAY, "that is 40 days old"),
        ] {
            assert_eq!(age(now - before, now), text);
        }
    }
}
