//! Copies an example below the target folder: current sources, and downloads as long as they fit.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Caches that tools leave beside the sources.
const LITTER: &[&str] = &["__pycache__", ".mypy_cache", ".pytest_cache"];

/// The file on which runs take turns.
pub(crate) const LOCK: &str = "lock";

/// Makes `to` equal to `from`. Entries named in `but` are neither copied nor removed, and equal files are not written.
pub(crate) fn copy(from: &Path, to: &Path, but: &[&str]) -> Result<()> {
    let is_left_out = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name == LOCK || but.iter().chain(LITTER).any(|left_out| name == *left_out)
    };
    fs::create_dir_all(to)?;
    for old in entries(to)?.iter().filter(|old| !is_left_out(old)) {
        let source = from.join(old.file_name().unwrap_or_default());
        if old.is_dir() && !source.is_dir() {
            fs::remove_dir_all(old)?;
        } else if !old.is_dir() && !source.is_file() {
            fs::remove_file(old)?;
        }
    }
    for new in entries(from)?.iter().filter(|new| !is_left_out(new)) {
        let target = to.join(new.file_name().unwrap_or_default());
        if new.is_dir() {
            copy(new, &target, but)?;
        } else {
            copy_file(new, &target)?;
        }
    }
    Ok(())
}

pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write(to, &content)
}

/// Leaves an equal file alone.
pub(crate) fn write(file: &Path, content: &[u8]) -> Result<()> {
    if fs::read(file).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, content).with_context(|| format!("cannot write {}", file.display()))
}

/// Fills `folder` with `fetch`, unless that was already completed for the same `locks`.
pub(crate) fn once(
    folder: &Path,
    locks: &[PathBuf],
    fetch: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let mut wanted = String::new();
    for lock in locks {
        wanted += &fs::read_to_string(lock)?;
    }
    let done = folder.join(".fetched-for");
    if fs::read_to_string(&done).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fetch()?;
    Ok(fs::write(done, wanted)?)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()));
    listed?.map(|entry| Ok(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_current_files_and_keeps_what_was_built() -> Result<()> {
        let home = tempfile::tempdir()?;
        let (from, to) = (home.path().join("from"), home.path().join("to"));
        fs::create_dir_all(from.join("src/__pycache__"))?;
        fs::write(from.join("src/new"), "new")?;
        fs::write(from.join("src/same"), "same")?;
        fs::create_dir_all(from.join("gen"))?;
        fs::create_dir_all(to.join("gen"))?;
        fs::write(to.join("gen/built"), "")?;
        fs::create_dir_all(to.join("src"))?;
        fs::write(to.join("src/old"), "")?;
        fs::write(to.join("src/same"), "same")?;
        let written = |name| fs::metadata(to.join(name))?.modified();
        let before = written("src/same")?;

        copy(&from, &to, &["gen"])?;
        assert_eq!(written("src/same")?, before);
        assert_eq!(fs::read_to_string(to.join("src/new"))?, "new");
        assert!(to.join("gen/built").exists());
        assert!(!to.join("src/old").exists() && !to.join("src/__pycache__").exists());
        Ok(())
    }

    #[test]
    fn a_changed_lock_or_interrupted_download_is_repeated() -> Result<()> {
        let home = tempfile::tempdir()?;
        let (folder, lock) = (home.path().join("fetched"), home.path().join("lock"));
        let locks = [lock.clone()];
        let mut times = 0;
        let mut fetch = |ends: bool| {
            once(&folder, &locks, || {
                times += 1;
                fs::create_dir(&folder)?;
                anyhow::ensure!(ends, "cut short");
                Ok(())
            })
        };
        fs::write(&lock, "1")?;
        assert!(fetch(false).is_err());
        fetch(true)?;
        fetch(true)?;
        fs::write(&lock, "2")?;
        fetch(true)?;
        assert_eq!(times, 3);
        Ok(())
    }
}
