//! A private tmpfs that a test can fill. Mounting needs root.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const BLOCK: usize = 64 * 1024;

/// A disk of a few megabytes. Dropping it unmounts it.
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts a disk.
    ///
    /// # Errors
    /// If this process may not mount, with the reason.
    pub fn mount(megabytes: u32) -> Result<Self, String> {
        let folder = TempDir::new().expect("a temporary folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={megabytes}m"))
            .arg("tmpfs")
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Ok(Self { folder }),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Mounts a disk for `test`, or prints that the test is skipped.
    pub fn for_test(megabytes: u32, test: &str) -> Option<Self> {
        let mounted = Self::mount(megabytes);
        if let Err(reason) = &mounted {
            // The harness hides the output of passing tests, but not this.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED {test}: no tmpfs can be mounted here: {reason}"
            );
        }
        mounted.ok()
    }

    /// The mount point.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fills all free space.
    pub fn fill(&self) {
        let mut filler = File::options()
            .create(true)
            .append(true)
            .open(self.filler())
            .expect("a file on the small disk");
        let block = vec![b'x'; BLOCK];
        // A write that fits only in part fills the rest.
        while filler.write_all(&block).is_ok() {}
    }

    /// Frees the filled space.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).expect("it was filled");
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process may still have an open file.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
