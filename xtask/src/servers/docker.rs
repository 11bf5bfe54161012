//! Servers as Docker containers, on a port of 127.0.0.1 that Docker chooses.

use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::folder;
use super::ledger::Ledger;
use crate::process;
use crate::stop::{Stop, Stopped};

/// For commands that download nothing.
const LIMIT: Duration = Duration::from_secs(60);

/// Whether an engine answers: the installed command is not enough.
pub(crate) fn answers() -> bool {
    let mut info = Command::new("docker");
    info.args(["info", "--format", "{{.ServerVersion}}"]);
    // Older clients succeed without an engine, but print no version.
    process::output(&mut info, Duration::from_secs(20))
        .is_ok_and(|info| info.status.success() && !info.stdout.trim().is_empty())
}

pub(crate) struct Image {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    /// For the server inside. Passed by name, so that the process list shows no values.
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) arguments: Vec<&'static str>,
}

pub(crate) struct Container {
    name: String,
    pub(crate) port: u16,
}

impl Container {
    pub(crate) fn start(image: &Image, ledger: &Ledger, stop: &Stop) -> Result<Self> {
        let mut container = Self {
            name: format!("{}{}", folder::PREFIX, &folder::secret()?[..12]),
            port: 0,
        };
        ledger.container(&container.name)?;
        eprintln!(
            "xtask: Docker starts {} and downloads it if it is missing",
            image.name
        );
        container.run(image, stop)?;

        let published = format!("{}/tcp", image.port);
        let answer = docker(&["port", &container.name, &published])?;
        container.port = port(&answer)
            .with_context(|| format!("docker port answers without a port: {}", answer.trim()))?;
        Ok(container)
    }

    fn run(&self, image: &Image, stop: &Stop) -> Result<()> {
        let mut log = tempfile::tempfile()?;
        let mut command = Command::new("docker");
        command.args(["run", "--rm", "--detach", "--name", &self.name]);
        command.args(["--publish", &format!("127.0.0.1::{}", image.port)]);
        for (name, value) in &image.environment {
            command.args(["--env", name]).env(name, value);
        }
        command.arg(image.name).args(&image.arguments);
        command.stdout(Stdio::null()).stderr(log.try_clone()?);
        match process::run(&mut command, stop) {
            Ok(status) if status.success() => Ok(()),
            Err(error) if error.is::<Stopped>() => Err(error),
            result => {
                let mut said = String::new();
                log.rewind()?;
                log.read_to_string(&mut said)?;
                result?;
                bail!(
                    "Docker cannot start {}: {}",
                    image.name,
                    folder::tail(&said, 10)
                )
            }
        }
    }

    /// The command line that runs `program` in the container.
    pub(crate) fn exec(&self, program: &str) -> String {
        format!("docker exec --interactive {} {program}", self.name)
    }

    pub(crate) fn check(&self) -> Result<()> {
        let running = docker(&["inspect", "--format", "{{.State.Running}}", &self.name]);
        if running.is_ok_and(|running| running.trim() == "true") {
            return Ok(());
        }
        bail!("the container has ended by itself")
    }

    /// Empty if the container and its log are gone.
    pub(crate) fn log_tail(&self) -> String {
        let mut logs = Command::new("docker");
        logs.args(["logs", "--tail", "25", &self.name]);
        let logs = process::output(&mut logs, LIMIT);
        logs.map(|logs| format!("{}{}", logs.stdout, logs.stderr))
            .unwrap_or_default()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.name) {
            eprintln!("xtask: warning: {error:#}");
        }
    }
}

/// A container that does not exist counts as removed.
pub(crate) fn remove(name: &str) -> Result<()> {
    let mut rm = Command::new("docker");
    rm.args(["rm", "--force", "--volumes", name]);
    let removed = process::output(&mut rm, LIMIT)?;
    if removed.stderr.contains("No such container") {
        return Ok(());
    }
    // With --rm, Docker itself may be removing it.
    if removed.stderr.contains("is already in progress") {
        return Ok(());
    }
    removed.success("docker rm")?;
    Ok(())
}

fn docker(args: &[&str]) -> Result<String> {
    let output = process::output(Command::new("docker").args(args), LIMIT)?;
    output.success("docker")
}

/// Parses lines such as `127.0.0.1:49153`.
fn port(answer: &str) -> Option<u16> {
    let mut ports = answer
        .lines()
        .filter_map(|line| line.trim().rsplit_once(':')?.1.parse().ok());
    ports.find(|&port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_port_is_read() {
        assert_eq!(port("127.0.0.1:49153\n"), Some(49153));
        assert_eq!(port("[::1]:49154\n127.0.0.1:49153\n"), Some(49154));
        assert_eq!(port("Error: No public port"), None);
        assert_eq!(port(""), None);
    }
}
