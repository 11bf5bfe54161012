//! Builds the programs of an older commit. Those of this checkout lie beside this program: `cargo xtask` builds them together.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail, ensure};
use processes::{output, workspace};
use scenarios::program;

use crate::NAMES;

/// The folders with the programs of the old and of the new release, or why there is no old one.
pub(crate) enum Built {
    Both { old: PathBuf, new: PathBuf },
    NoHistory(String),
}

/// The old release is that of `commit`.
pub(crate) fn build(commit: &str) -> Result<Built> {
    let commit = match find(commit)? {
        Found::Commit(commit) => commit,
        Found::NoHistory(reason) => return Ok(Built::NoHistory(reason)),
    };
    let source = source(&commit)?;
    let old = target().join("build");
    println!("rollout: building {commit}; the first time takes minutes");
    let mut build = workspace::cargo();
    // Without debug information, which shortens the build: the programs only run.
    build
        .current_dir(source)
        .env("CARGO_TARGET_DIR", &old)
        .env("CARGO_PROFILE_DEV_DEBUG", "false");
    build.args(["build", "--quiet"]);
    for service in NAMES {
        build.args(["--package", service]);
    }
    let built = build.status()?;
    ensure!(built.success(), "{commit} cannot be built: {built}");
    let new = program::this_program()?.with_file_name("");
    let old = old.join("debug");
    Ok(Built::Both { old, new })
}

enum Found {
    /// The full hash.
    Commit(String),
    /// This folder is not a repository, or a shallow clone.
    NoHistory(String),
}

fn find(name: &str) -> Result<Found> {
    let commit = format!("{name}^{{commit}}");
    if let Ok(hash) = git(&["rev-parse", "--verify", "--quiet", &commit]) {
        return Ok(Found::Commit(hash.trim().to_owned()));
    }
    match git(&["rev-parse", "--is-shallow-repository"]) {
        Err(reason) => Ok(Found::NoHistory(reason.to_string())),
        Ok(text) if text.trim() == "true" => {
            Ok(Found::NoHistory("the clone is shallow".to_owned()))
        }
        Ok(_) => bail!("the repository has no commit {name}"),
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
    git(&["archive", "--format=tar", &file, commit])?;
    unpack(&archive, &folder)?;
    fs::remove_file(&archive)?;
    // Last, so that a run that was interrupted here starts over.
    fs::write(&mark, commit)?;
    Ok(folder)
}

fn unpack(archive: &Path, folder: &Path) -> Result<String> {
    let mut tar = Command::new("tar");
    output(tar.arg("-xf").arg(archive).arg("-C").arg(folder))
}

fn git(args: &[&str]) -> Result<String> {
    output(
        Command::new("git")
            .current_dir(workspace::root())
            .args(args),
    )
}

fn target() -> PathBuf {
    workspace::state().join("rollout")
}
