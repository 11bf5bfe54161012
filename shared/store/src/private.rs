//! Files with personal data and secrets: only their owner may read them.
//!
//! New files get their permissions from the process's umask; this module handles existing ones.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const OTHERS: u32 = 0o077;
const OWNER: u32 = 0o700;

/// Removes the permissions of group and others.
///
/// # Errors
/// If it belongs to another user or does not exist.
pub fn tighten(file: &Path) -> io::Result<()> {
    let mode = mode(file)?;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    std::fs::set_permissions(file, Permissions::from_mode(mode & OWNER))
}

/// Paths in and below `folder` that group or others can access. Empty without the folder.
///
/// # Errors
/// If a path cannot be read.
pub fn loose(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    let mut found = Vec::new();
    if mode(folder)? & OTHERS != 0 {
        found.push(folder.to_owned());
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            found.extend(loose(&entry.path())?);
        } else if kind.is_file() && mode(&entry.path())? & OTHERS != 0 {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn mode(path: &Path) -> io::Result<u32> {
    Ok(std::fs::metadata(path)?.permissions().mode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_group_or_others_may_read_is_named_and_mended() {
        let folder = tempfile::tempdir().unwrap();
        tighten(folder.path()).unwrap();
        let (inner, file) = (folder.path().join("mails"), folder.path().join("users.db"));
        let mail = inner.join("1.eml");
        std::fs::create_dir(&inner).unwrap();
        for (path, mode) in [(&file, 0o640), (&mail, 0o600)] {
            std::fs::write(path, "").unwrap();
            std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        std::fs::set_permissions(&inner, Permissions::from_mode(0o711)).unwrap();
        let mut found = loose(folder.path()).unwrap();
        found.sort();
        assert_eq!(found, [inner.clone(), file.clone()]);

        tighten(&file).unwrap();
        tighten(&inner).unwrap();
        assert_eq!(mode(&file).unwrap() & 0o777, 0o600);
        assert_eq!(mode(&inner).unwrap() & 0o777, 0o700);
        assert!(loose(folder.path()).unwrap().is_empty());
        assert!(loose(&folder.path().join("none")).unwrap().is_empty());
    }
}
