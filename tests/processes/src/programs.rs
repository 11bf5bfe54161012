//! Finds installed programs: on the search path, then in distribution-specific folders.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The first file of this name, on the search path and then in `folders`, as [`folders`] reads them.
pub fn find(program: &str, patterns: &[&str]) -> Option<PathBuf> {
    let mut candidates = folders(patterns)
        .into_iter()
        .map(|folder| folder.join(program));
    candidates.find(|candidate| candidate.is_file())
}

/// The folders to search. A `*` in a pattern stands for a version; the newest comes first.
pub(crate) fn folders(patterns: &[&str]) -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    for pattern in patterns {
        folders.extend(expand(pattern));
    }
    folders
}

fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    // The prefix before the `*`, as in `erts-*`, belongs to the folder's entries.
    let (parent, prefix) = before.rsplit_once('/').unwrap_or((".", before));
    let entries = fs::read_dir(Path::new(parent)).into_iter().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort_by_key(|name| std::cmp::Reverse(numbers(name)));
    let folders = names.iter().map(|name| format!("{parent}/{name}{after}"));
    folders.map(PathBuf::from).collect()
}

fn numbers(name: &str) -> Vec<u32> {
    let parts = name.split(|c: char| !c.is_ascii_digit());
    parts.filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first_by_number_not_by_letter() -> anyhow::Result<()> {
        let home = tempfile::tempdir()?;
        for name in ["erts-9.3", "erts-13.1", "other-99"] {
            fs::create_dir(home.path().join(name))?;
        }
        let pattern = format!("{}/erts-*/bin", home.path().display());
        let expected = ["erts-13.1/bin", "erts-9.3/bin"].map(|name| home.path().join(name));
        assert_eq!(expand(&pattern), expected);
        Ok(())
    }
}
