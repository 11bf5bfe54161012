//! The private folder of a server: data, configuration and log, deleted after the run.
//!
//! Its programs get a clean environment, so that no setting of the user or of the system's own server reaches them.

use std::env;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::account::Account;
use super::ledger::Ledger;
use crate::process;

pub(crate) const PREFIX: &str = "angarium-test-";

pub(crate) struct Folder {
    dir: TempDir,
    account: Option<Account>,
}

impl Folder {
    /// In the system's temporary folder; as root in /tmp, because root's own may be closed to the server's account.
    pub(crate) fn create(ledger: &Ledger, account: Option<Account>) -> Result<Self> {
        let parent = match account {
            Some(_) => PathBuf::from("/tmp"),
            None => env::temp_dir(),
        };
        let dir = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .with_context(|| format!("cannot create a folder in {}", parent.display()))?;
        ledger.folder(dir.path())?;
        let folder = Self { dir, account };
        folder.hand_over(folder.path())?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn create_folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.file(name);
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        self.hand_over(&path)?;
        Ok(path)
    }

    /// Readable only by the server's account: it may contain passwords and cookies.
    pub(crate) fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.file(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options
            .open(&path)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        self.hand_over(&path)?;
        Ok(path)
    }

    /// A program in this folder with only the search path in its environment.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("TMPDIR", self.path())
            .env("LANG", "C.UTF-8")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.path());
        if let Some(account) = &self.account {
            account.run(&mut command);
        }
        command
    }

    /// As `command`, with its output in `log`.
    pub(crate) fn logged(&self, program: &Path) -> Result<Command> {
        let mut options = OpenOptions::new();
        let log = options
            .append(true)
            .create(true)
            .open(self.log())
            .context("cannot open the server's log")?;
        let mut command = self.command(program);
        command.stdin(std::process::Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    /// The end of the server's log, which usually has the cause.
    pub(crate) fn log_tail(&self) -> String {
        let bytes = fs::read(self.log()).unwrap_or_default();
        tail(&String::from_utf8_lossy(&bytes), 25)
    }

    fn log(&self) -> PathBuf {
        self.file("server.log")
    }

    fn hand_over(&self, path: &Path) -> Result<()> {
        self.account
            .as_ref()
            .map_or(Ok(()), |account| account.own(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = remove(self.path()) {
            eprintln!("xtask: warning: {error:#}");
        }
    }
}

/// Retries, because a process that was just killed may still add a file.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let started = Instant::now();
    while let Err(error) = fs::remove_dir_all(path) {
        if error.kind() == ErrorKind::NotFound && !path.exists() {
            break;
        }
        if started.elapsed() > Duration::from_secs(5) {
            return Err(error).with_context(|| format!("cannot remove {}", path.display()));
        }
        thread::sleep(process::POLL);
    }
    Ok(())
}

pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = all.len().saturating_sub(lines);
    all[last..].join("\n")
}

/// A random text of letters and digits, for passwords, cookies and names.
pub(crate) fn secret() -> Result<String> {
    use std::fmt::Write as _;
    use std::io::Read as _;

    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    let mut text = String::with_capacity(32);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_cut_to_its_last_lines_that_say_something() {
        assert_eq!(tail("one\ntwo\n\nthree\n\n", 2), "two\nthree");
        assert_eq!(tail("one", 5), "one");
        assert_eq!(tail("", 5), "");
    }

    #[test]
    fn secrets_differ_and_need_no_escaping() -> Result<()> {
        let (one, two) = (secret()?, secret()?);
        assert_ne!(one, two);
        assert!(one.len() == 32 && one.chars().all(|c| c.is_ascii_hexdigit()));
        Ok(())
    }
}
