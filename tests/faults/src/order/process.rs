//! A process that runs until it is killed. If it ends by itself, the run fails and shows its log.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};

pub(super) struct Process {
    child: Child,
    log: NamedTempFile,
}

impl Process {
    pub(super) fn start(mut command: Command) -> Result<Self> {
        let log = NamedTempFile::new()?;
        command.stdout(Stdio::null()).stderr(log.reopen()?);
        let child = command.spawn().context("cannot start the workload")?;
        Ok(Self { child, log })
    }

    pub(super) fn check(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let log = std::fs::read(self.log.path())?;
        let log = String::from_utf8_lossy(&log);
        bail!("a process ended by itself ({status}): {}", log.trim_end())
    }

    pub(super) async fn kill(mut self) -> Result<()> {
        self.check()?;
        Ok(self.child.kill().await?)
    }
}
