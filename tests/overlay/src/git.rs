//! Git, in one folder.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// What git said.
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// The standard output, or an error with git's words.
    pub(crate) fn success(self, what: &str) -> Result<String> {
        let said = format!("{}{}", self.stderr, self.stdout);
        ensure!(self.ok, "{what} failed: {}", said.trim());
        Ok(self.stdout)
    }
}

/// Runs git in `folder`. If this is no repository, git must not find the one above it: there, it would ignore the patch.
pub(crate) fn git(folder: &Path, args: &[&str]) -> Result<Said> {
    let above = folder.parent().unwrap_or(folder);
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::null())
        .env("GIT_CEILING_DIRECTORIES", above);
    // A hook of git sets these for its own repository.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(variable);
    }
    let output = command.output().context("cannot start git")?;
    Ok(Said {
        ok: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
