//! Security advisories against the locked crates: from a copy of the RustSec database in this repository, and from the
//! database that cargo-deny fetched, if there is one.
//!
//! Guarantee: the check needs no network and no other program, and says how old each database is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};

use processes::{Stop, workspace};

mod copy;
mod fetched;
mod renewal;

/// Relative to the workspace.
const COPY: &str = "third_party/advisories.tsv";
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(clap::Args)]
pub(crate) struct Advisories {
    /// Write the copy again, from the database that `cargo deny fetch` got last
    #[arg(long)]
    renew: bool,

    /// The folder of another database, for --renew
    #[arg(long, requires = "renew")]
    database: Option<PathBuf>,
}

pub(crate) fn run(advisories: &Advisories) -> Result<ExitCode> {
    if advisories.renew {
        renew(advisories.database.as_deref())?;
    }
    Ok(match check()? {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Whether no advisory of the copy affects a locked crate.
pub(crate) fn check() -> Result<bool> {
    let copy = copy::Copy::read(&read(COPY)?)?;
    let age = age(copy.committed);
    eprintln!(
        "xtask: {} advisories, from a copy {age} ({COPY})",
        copy.advisories.len()
    );
    let found = copy.affecting(&copy::locked(&read("Cargo.lock")?)?);
    for line in &found {
        eprintln!("xtask: {line}");
    }
    Ok(found.is_empty())
}

/// As [`check`], by cargo-deny, with the database that it fetched last.
pub(crate) fn check_fetched(stop: &Stop) -> Result<bool> {
    fetched::check(stop)
}

fn renew(database: Option<&Path>) -> Result<()> {
    let (database, committed) = match (database, fetched::newest()?) {
        (Some(database), _) => {
            let committed = fetched::committed(database);
            let committed = committed.with_context(|| {
                format!("{} is no checkout of the database", database.display())
            })?;
            (database.to_owned(), committed)
        }
        (None, Some(newest)) => newest,
        (None, None) => bail!(
            "no database was fetched: run `cargo deny fetch`, or name a folder with --database"
        ),
    };
    let written = renewal::copy_of(&database, committed)?;
    fs::write(workspace::root().join(COPY), written)
        .with_context(|| format!("{COPY} cannot be written"))
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(workspace::root().join(path))
        .with_context(|| format!("{path} cannot be read"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the age of a database on this machine"
)]
fn age(committed: SystemTime) -> String {
    age_at(committed, SystemTime::now())
}

fn age_at(committed: SystemTime, now: SystemTime) -> String {
    let age = now.duration_since(committed).unwrap_or_default();
    match age.as_secs() / DAY.as_secs() {
        0 => "of today".to_owned(),
        1 => "of yesterday".to_owned(),
        days => format!("that is {days} days old"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn the_age_of_the_database_is_in_days() {
        let now = UNIX_EPOCH + 1000 * DAY;
        for (before, text) in [
            (Duration::ZERO, "of today"),
            (DAY, "of yesterday"),
            (40 * DAY, "that is 40 days old"),
        ] {
            assert_eq!(age_at(now - before, now), text);
        }
    }

    #[test]
    fn no_locked_crate_has_an_advisory_of_the_copy() -> Result<()> {
        assert!(check()?, "stderr names the advisories");
        Ok(())
    }
}
