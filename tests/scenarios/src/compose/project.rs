//! The project of one run: built and started from docker-compose.yml, and removed in every case.
//!
//! Project name, ports and secrets belong to this run, so it affects no other project on the machine. The next run removes what a
//! killed run left.

use std::fs::{self, File, TryLockError};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use processes::{output, workspace};
use scenarios::program;
use tempfile::TempDir;

const PROJECT: &str = "angarium-compose-test";
pub(crate) const ADMIN: &str = "admin@example.com";

pub(crate) struct Project {
    secrets: TempDir,
    /// Of users, orders, notifications and mails.
    pub(crate) addresses: [SocketAddr; 4],
    /// The project has one name, so there is one run at a time.
    _lock: File,
}

impl Project {
    /// Builds the images and starts the containers.
    pub(crate) fn start() -> Result<Self> {
        check_docker()?;
        let lock = lock()?;
        let secrets = TempDir::new().context("cannot create a folder for the secrets")?;
        let make = workspace::root().join("deploy/make-secrets.sh");
        output(Command::new(make).arg(secrets.path()))?;
        let project = Self {
            secrets,
            addresses: program::free_addresses()?,
            _lock: lock,
        };
        project.down()?;
        println!(
            "compose: Docker builds the images and starts the containers; the first time that takes minutes"
        );
        let mut up = project.compose();
        let up = up.args(["up", "--build", "--detach", "--wait"]).status()?;
        if !up.success() {
            project.keep_logs();
            bail!("docker compose up ended with {up}");
        }
        Ok(project)
    }

    /// The secret with the password of MailDev's web page.
    pub(crate) fn mail_page(&self) -> PathBuf {
        self.secrets.path().join("mail-page")
    }

    /// `docker compose` for the containers, with the variables of docker-compose.yml, and without variables that select another
    /// configuration of it.
    pub(crate) fn compose(&self) -> Command {
        let mut command = Command::new("docker");
        command
            .args(["compose", "--project-name", PROJECT])
            .current_dir(workspace::root());
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
            .env("ADMIN_EMAILS", ADMIN);
        let ports = [
            "USER_SERVICE_PORT",
            "ORDER_SERVICE_PORT",
            "NOTIFICATION_SERVICE_PORT",
            "MAILDEV_PORT",
        ];
        for (name, address) in ports.iter().zip(self.addresses) {
            command.env(name, address.port().to_string());
        }
        command
    }

    /// Saves the containers' logs, for the analysis of a failure.
    pub(crate) fn keep_logs(&self) {
        let path = workspace::state().join("compose-test.log");
        let mut logs = self.compose();
        logs.args(["logs", "--no-color", "--timestamps"]);
        let kept = output(&mut logs).and_then(|logs| Ok(fs::write(&path, logs)?));
        match kept {
            Ok(()) => eprintln!("compose: the containers' logs are in {}", path.display()),
            Err(error) => eprintln!("compose: warning: the containers' logs are lost: {error:#}"),
        }
    }

    fn down(&self) -> Result<()> {
        let mut down = self.compose();
        down.args(["down", "--volumes", "--remove-orphans", "--rmi", "local"]);
        output(&mut down)?;
        Ok(())
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if let Err(error) = self.down() {
            eprintln!("compose: warning: {error:#}");
        }
    }
}

fn check_docker() -> Result<()> {
    for (args, what) in [
        (
            &["compose", "version", "--short"][..],
            "Docker with Compose: docs.docker.com/engine/install",
        ),
        (
            // Older clients succeed without an engine, but print no version.
            &["info", "--format", "{{.ServerVersion}}"],
            "a running Docker engine: start it, or join its group",
        ),
    ] {
        let answer = output(Command::new("docker").args(args));
        if !answer.is_ok_and(|answer| !answer.trim().is_empty()) {
            let args = args.join(" ");
            bail!("compose-test needs {what}; `docker {args}` fails");
        }
    }
    Ok(())
}

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
