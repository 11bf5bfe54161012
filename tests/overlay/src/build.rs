//! The program of the fault runs: the checkout with the overlay on it, in a folder below the target folder.
//!
//! It is compiled into the target folder of the checkout and with the features of the whole workspace, so all packages of a
//! registry are those of `cargo xtask test`. Our own packages have another version there, so neither build replaces the other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, Result};
use processes::workspace;

use crate::patch::apply;
use crate::tree;

/// Follows the version of our packages. The program looks for it, because without the overlay it has no switches.
const MARK: &str = "+overlay";

/// Lays out the sources and compiles the program and its tests.
pub(crate) fn run() -> Result<ExitStatus> {
    let home = workspace::state().join("faults");
    fs::create_dir_all(&home)?;
    // Two runs at once would change each other's sources.
    let lock = File::create(home.join("lock"))?;
    lock.lock()?;
    let staged = home.join("staged");
    if staged.exists() {
        fs::remove_dir_all(&staged)?;
    }
    tree::copy(&workspace::root(), &staged)?;
    apply(&staged)?;
    mark(&staged.join("Cargo.toml"))?;
    tree::sync(&staged, &sources())?;
    eprintln!(
        "building the fault runs, with their switches, in {}",
        sources().display()
    );
    Ok(cargo_test().args(["--no-run", "--quiet"]).status()?)
}

/// `cargo test` for the short form of the runs.
pub(crate) fn cargo_test() -> Command {
    let mut command = workspace::cargo();
    command
        .current_dir(sources())
        .env("CARGO_TARGET_DIR", workspace::target())
        .args(["test", "--workspace", "--test", "quick"]);
    command
}

fn sources() -> PathBuf {
    workspace::state().join("faults/sources")
}

fn mark(manifest: &Path) -> Result<()> {
    let text = fs::read_to_string(manifest)?;
    let (before, after) = text
        .split_once("\nversion = \"")
        .and_then(|(before, after)| Some((before, after.split_once('"')?)))
        .with_context(|| format!("{} has no version", manifest.display()))?;
    let (version, after) = after;
    let marked = format!("{before}\nversion = \"{version}{MARK}\"{after}");
    Ok(fs::write(manifest, marked)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_packages_is_marked() -> Result<()> {
        let home = tempfile::tempdir()?;
        let manifest = home.path().join("Cargo.toml");
        let text = "[workspace.package]\nversion = \"1.2.3\"\nedition = \"2024\"\n";
        fs::write(&manifest, text)?;
        mark(&manifest)?;
        let expected = text.replace("1.2.3", "1.2.3+overlay");
        assert_eq!(fs::read_to_string(&manifest)?, expected);
        Ok(())
    }
}
