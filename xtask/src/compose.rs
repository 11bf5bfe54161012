//! `cargo xtask compose-test`: starts docker-compose.yml from scratch, runs `tests/scenarios` on it, and removes it in
//! every case.
//!
//! Project name, ports and secrets belong to this run, so it affects no other project on the machine. The next run
//! removes what a killed run left.
//! killed is cleared away by the next.

use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::servers::docker;
use crate::stop::Stop;
use crate::{process, test, workspace};

const PROJECT: &str = "angarium-compose-test";
const ADMIN: &str = "admin@example.com";

/// For commands that neither build nor download.
const LIMIT: Duration = Duration::from_secs(300);

const PROGRAM: [&str; 5] = ["--package", "scenarios", "--bin", "compose", "--quiet"];

pub(crate) fn run(stop: &Stop) -> Result<ExitCode> {
    check_docker()?;
    let _only = lock()?;
    let built = process::run(workspace::cargo().arg("build").args(PROGRAM), stop)?;
    if !built.success() {
        return Ok(test::code(built));
    }
    let project = Project::new()?;
    project.down()?;
    stop.check()?;
    let tested = project.test(stop);
    if !tested.as_ref().is_ok_and(|code| *code == ExitCode::SUCCESS) {
        project.keep_logs();
    }
    tested
}

struct Project {
    secrets: TempDir,
    ports: [u16; 4],
}

impl Project {
    fn new() -> Result<Self> {
        let secrets = TempDir::new().context("cannot create a folder for the secrets")?;
        let mut made = Command::new(workspace::root().join("deploy/make-secrets.sh"));
        made.arg(secrets.path());
        process::output(&mut made, LIMIT)?.success("deploy/make-secrets.sh")?;
        Ok(Self {
            secrets,
            ports: free_ports()?,
        })
    }

    fn test(&self, stop: &Stop) -> Result<ExitCode> {
        eprintln!(
            "xtask: Docker builds the images and starts the containers; the first time that takes minutes"
        );
        let mut up = self.compose();
        up.args(["up", "--build", "--detach", "--wait"]);
        let up = process::run(&mut up, stop)?;
        if !up.success() {
            return Ok(test::code(up));
        }
        let mut scenarios = workspace::cargo();
        self.surround(&mut scenarios);
        scenarios.arg("run").args(PROGRAM).arg("--");
        let names = ["--users", "--orders", "--notifications", "--mails"];
        for (name, port) in names.iter().zip(self.ports) {
            scenarios.args([name, format!("127.0.0.1:{port}").as_str()]);
        }
        scenarios
            .arg("--mail-page")
            .arg(self.secrets.path().join("mail-page"))
            .args(["--admin", ADMIN, "--", "docker"])
            .args(compose_args());
        Ok(test::code(process::run(&mut scenarios, stop)?))
    }

    fn down(&self) -> Result<()> {
        let mut down = self.compose();
        down.args(["down", "--volumes", "--remove-orphans", "--rmi", "local"]);
        process::output(&mut down, LIMIT)?.success("docker compose down")?;
        Ok(())
    }

    /// Saves the containers' logs, for the analysis of a failure.
    fn keep_logs(&self) {
        let path = workspace::state().join("compose-test.log");
        let mut logs = self.compose();
        logs.args(["logs", "--no-color", "--timestamps"]);
        let kept = process::output(&mut logs, LIMIT)
            .and_then(|logs| fs::write(&path, logs.stdout + &logs.stderr).map_err(Into::into));
        match kept {
            Ok(()) => eprintln!("xtask: the containers' logs are in {}", path.display()),
            Err(error) => eprintln!("xtask: warning: the containers' logs are lost: {error:#}"),
        }
    }

    fn compose(&self) -> Command {
        let mut command = Command::new("docker");
        command.current_dir(workspace::root()).args(compose_args());
        self.surround(&mut command);
        command
    }

    /// Sets the variables of docker-compose.yml, and removes variables that select another configuration of it.
    fn surround(&self, command: &mut Command) {
        let [users, orders, notifications, mails] = self.ports.map(|port| port.to_string());
        for name in [
            "COMPOSE_PROFILES",
            "COMPOSE_PROJECT_NAME",
            "GRPC_REFLECTION",
            "MAIL_FROM",
        ] {
            command.env_remove(name);
        }
        command
            .env("SECRETS_FOLDER", self.secrets.path())
            .env("ADMIN_EMAILS", ADMIN)
            .env("USER_SERVICE_PORT", users)
            .env("ORDER_SERVICE_PORT", orders)
            .env("NOTIFICATION_SERVICE_PORT", notifications)
            .env("MAILDEV_PORT", mails);
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if let Err(error) = self.down() {
            eprintln!("xtask: warning: {error:#}");
        }
    }
}

fn compose_args() -> [&'static str; 3] {
    ["compose", "--project-name", PROJECT]
}

fn check_docker() -> Result<()> {
    let mut version = Command::new("docker");
    version.args(["compose", "version", "--short"]);
    let compose = process::output(&mut version, LIMIT).is_ok_and(|output| output.status.success());
    if !compose {
        bail!(
            "compose-test needs Docker with Compose, but `docker compose version` fails; install it: docs.docker.com/engine/install"
        );
    }
    if !docker::answers() {
        bail!(
            "compose-test needs a running Docker engine, but `docker info` fails; start the engine, or join its group"
        );
    }
    Ok(())
}

/// The project has one name, so there is one run at a time.
fn lock() -> Result<File> {
    fs::create_dir_all(workspace::state())?;
    let path = workspace::state().join("compose-test.lock");
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another compose-test is running"),
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock the run"),
    }
}

/// Free at this moment. All are held until each is chosen, so they differ.
fn free_ports() -> Result<[u16; 4]> {
    let mut listeners = Vec::new();
    let mut ports = [0; 4];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_port_is_another_one() -> Result<()> {
        let ports: BTreeSet<u16> = free_ports()?.into();
        assert_eq!(ports.len(), 4);
        Ok(())
    }
}
