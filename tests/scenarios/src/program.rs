//! The programs of the services as child processes: start, wait, stop.
//!
//! Dropping a child kills it, so that no process outlives a failed run. All children stay in the process group of this
//! program, and `cargo xtask` kills that group at the end.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// A running program.
pub struct Program {
    pub name: &'static str,
    child: Child,
    pid: i32,
    log: PathBuf,
    // Contains the log.
    _folder: TempDir,
}

impl Program {
    /// Starts the program at `path` with only this environment and the search path.
    pub fn start<A: AsRef<OsStr>>(
        name: &'static str,
        path: &Path,
        args: &[A],
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let folder = TempDir::new()?;
        let log = folder.path().join("log");
        let output = std::fs::File::create(&log)?;
        let mut command = Command::new(path);
        command
            .args(args)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH"))
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .with_context(|| format!("{} cannot be started; build it first", path.display()))?;
        let pid = child.id().context("the child has no id")?;
        Ok(Self {
            name,
            child,
            pid: i32::try_from(pid)?,
            log,
            _folder: folder,
        })
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits until the health service at `address` answers SERVING.
    pub async fn serving(&mut self, address: SocketAddr) -> Result<()> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
        let mut health = HealthClient::new(channel);
        let began = Instant::now();
        loop {
            self.check()?;
            let answer = health.check(HealthCheckRequest::default()).await;
            if answer.is_ok_and(|answer| answer.get_ref().status() == ServingStatus::Serving) {
                return Ok(());
            }
            if began.elapsed() > START_LIMIT {
                bail!(
                    "{} does not serve within {START_LIMIT:?}: {}",
                    self.name,
                    self.said()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}): {}", self.name, self.said()),
        }
    }

    /// Shuts down the program in order.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) = Pid::from_raw(self.pid) {
            rustix::process::kill_process(pid, Signal::TERM)
                .with_context(|| format!("{} cannot be stopped", self.name))?;
        }
        let ended = tokio::time::timeout(STOP_LIMIT, self.child.wait()).await;
        let status = ended.with_context(|| {
            format!(
                "{} does not stop within {STOP_LIMIT:?}: {}",
                self.name,
                self.said()
            )
        })??;
        if !status.success() {
            bail!("{} ended with {status}: {}", self.name, self.said());
        }
        Ok(())
    }

    /// The end of its log.
    fn said(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

/// A program in the folder of this one, where `cargo build` has put it.
pub fn beside(name: &str) -> Result<PathBuf> {
    Ok(this_program()?.with_file_name(name))
}

pub fn this_program() -> Result<PathBuf> {
    std::env::current_exe().context("this program's own file cannot be found")
}

/// Free addresses. All are bound before the first is released, so they differ.
pub fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    let mut held = Vec::new();
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *address = listener.local_addr()?;
        held.push(listener);
    }
    Ok(addresses)
}
