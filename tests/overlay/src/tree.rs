//! Copies of the checkout: all files that git knows or would add, as they are now, committed or not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::git::git;

/// Copies the checkout at `root` to the new folder `to`. Links are left out: no source is one.
pub(crate) fn copy(root: &Path, to: &Path) -> Result<()> {
    let listed = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let listed = git(root, &listed)?.success("git ls-files")?;
    // A file with a merge conflict is listed once for each of its versions.
    let files: BTreeSet<&str> = listed.split_terminator('\0').collect();
    for file in files {
        let source = root.join(file);
        // One that is removed and not committed is listed too.
        if !fs::symlink_metadata(&source).is_ok_and(|found| found.is_file()) {
            continue;
        }
        let target = to.join(file);
        fs::create_dir_all(target.parent().unwrap_or(to))?;
        fs::copy(&source, &target).with_context(|| format!("cannot copy {file}"))?;
    }
    Ok(())
}

/// Makes `to` what `from` is. Does not touch a file that has the same content, because cargo compiles what has a newer time.
pub(crate) fn sync(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for old in fs::read_dir(to)? {
        let old = old?;
        let new = from.join(old.file_name());
        if new.exists() && new.is_dir() == old.path().is_dir() {
            continue;
        }
        if old.path().is_dir() {
            fs::remove_dir_all(old.path())?;
        } else {
            fs::remove_file(old.path())?;
        }
    }
    for new in fs::read_dir(from)? {
        let new = new?;
        let target = to.join(new.file_name());
        if new.path().is_dir() {
            sync(&new.path(), &target)?;
            continue;
        }
        let content = fs::read(new.path())?;
        if fs::read(&target).is_ok_and(|old| old == content) {
            continue;
        }
        fs::write(&target, content)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_changes_only_what_differs() -> Result<()> {
        let home = tempfile::tempdir()?;
        let (from, to) = (home.path().join("from"), home.path().join("to"));
        for folder in [&from, &to] {
            fs::create_dir_all(folder.join("src"))?;
            fs::write(folder.join("src/same"), "same")?;
        }
        fs::write(from.join("src/changed"), "new")?;
        fs::write(to.join("src/changed"), "old")?;
        fs::create_dir_all(to.join("removed"))?;
        fs::write(to.join("removed/file"), "")?;
        let time = || fs::metadata(to.join("src/same"))?.modified();
        let before = time()?;

        sync(&from, &to)?;
        assert_eq!(time()?, before);
        assert_eq!(fs::read_to_string(to.join("src/changed"))?, "new");
        assert!(!to.join("removed").exists());
        Ok(())
    }
}
