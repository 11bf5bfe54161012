//! The private folder of a server: data, configuration and log. Its guard removes it.
//!
//! Its programs get a clean environment, so that no setting of the user or of the system's own server reaches them. PostgreSQL
//! refuses root, so root starts servers as an unprivileged account.

use std::env;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use uuid::Uuid;

use crate::guard::Guard;
use crate::output;

pub(super) struct Folder {
    path: PathBuf,
    account: Option<Account>,
    pub(super) guard: Guard,
}

#[derive(Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Folder {
    /// In the system's temporary folder; as root in /tmp, because root's own may be closed to the server's account.
    pub(super) fn create() -> Result<Self> {
        let account = Account::for_servers()?;
        let parent = account.map_or_else(env::temp_dir, |_| PathBuf::from("/tmp"));
        let folder = tempfile::Builder::new()
            .prefix("angarium-test-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .with_context(|| format!("cannot create a folder in {}", parent.display()))?;
        let guard = Guard::new("QUIT", Some(folder.path()))?;
        let folder = Self {
            path: folder.keep(),
            account,
            guard,
        };
        folder.hand_over(&folder.path)?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Readable only by the server's account: it may contain passwords and cookies.
    pub(super) fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options
            .open(&path)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        self.hand_over(&path)?;
        Ok(path)
    }

    /// A program in this folder, with only the search path in its environment and its output in the log.
    pub(super) fn command(&self, program: impl AsRef<Path>) -> Result<Command> {
        let log = self.path.join("log");
        let log = OpenOptions::new().append(true).create(true).open(log);
        let log = log.context("cannot open the server's log")?;
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.path)
            .env("TMPDIR", &self.path)
            .env("LANG", "C.UTF-8")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(&self.path)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        Ok(command)
    }

    /// The end of the log, which usually has the cause.
    pub(super) fn log_tail(&self) -> String {
        let bytes = fs::read(self.path.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    fn hand_over(&self, path: &Path) -> Result<()> {
        let Some(account) = self.account else {
            return Ok(());
        };
        chown(path, Some(account.uid), Some(account.gid))
            .with_context(|| format!("cannot change the owner of {}", path.display()))
    }
}

impl Account {
    /// `nobody` for root. Another user needs no switch.
    fn for_servers() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let id = |of: &str| -> Result<u32> {
            let id = output(Command::new("id").args([of, "nobody"]))?;
            Ok(id.trim().parse()?)
        };
        let (uid, gid) = (id("-u")?, id("-g")?);
        Ok(Some(Self { uid, gid }))
    }
}

/// A random text of letters and digits, for passwords, cookies and names.
pub(super) fn secret() -> String {
    Uuid::new_v4().simple().to_string()
}
