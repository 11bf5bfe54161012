//! The containers of `docker compose`.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use scenarios::patience::eventually;
use serde::Deserialize;
use tokio::process::Command;

use crate::project::Project;

/// How long a container may take to become healthy again.
const RECOVERY: Duration = Duration::from_secs(120);

pub(crate) struct Containers<'a> {
    project: &'a Project,
}

/// A container in the output of `docker compose ps`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    service: String,
    health: String,
}

impl<'a> Containers<'a> {
    pub(crate) fn new(project: &'a Project) -> Self {
        Self { project }
    }

    /// Runs `docker compose` with these arguments, and returns its output.
    pub(crate) async fn compose(&self, args: &[&str]) -> Result<String> {
        let output = self.output(args).await?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "docker compose {}: {}",
            args.join(" "),
            stderr.trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The exit code of a program in a service's container.
    pub(crate) async fn exit_code(&self, service: &str, program: &[&str]) -> Result<i32> {
        let output = self
            .output(&[&["exec", "--no-TTY", service], program].concat())
            .await?;
        output.status.code().context("docker compose was killed")
    }

    /// Waits until every container with a health check is healthy.
    pub(crate) async fn all_healthy(&self) -> Result<()> {
        eventually("all containers are healthy", RECOVERY, async || {
            let listed = self.listed().await.map_err(|error| format!("{error:#}"))?;
            let ill = listed
                .into_iter()
                .filter(|one| one.health != "healthy" && !one.health.is_empty());
            let ill: Vec<String> = ill
                .map(|one| format!("{} is {}", one.name, one.health))
                .collect();
            if ill.is_empty() {
                Ok(())
            } else {
                Err(ill.join(", "))
            }
        })
        .await
    }

    /// The start time of each container except `service`, to detect restarts.
    pub(crate) async fn starts_besides(&self, service: &str) -> Result<BTreeMap<String, String>> {
        let mut starts = BTreeMap::new();
        for one in self.listed().await? {
            if one.service != service {
                let started = self.inspect(&one.id).await?;
                starts.insert(one.name, started);
            }
        }
        Ok(starts)
    }

    async fn inspect(&self, id: &str) -> Result<String> {
        let mut command = Command::new("docker");
        command.args(["inspect", "--format", "{{.State.StartedAt}}", id]);
        let output = command.stdin(Stdio::null()).output().await?;
        ensure!(output.status.success(), "docker inspect {id} failed");
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    async fn listed(&self) -> Result<Vec<Listed>> {
        let listed = self.compose(&["ps", "--format", "json"]).await?;
        let lines = listed.lines().filter(|line| !line.is_empty());
        let listed: Result<Vec<Listed>, _> = lines.map(serde_json::from_str).collect();
        listed.context("the output of docker compose ps")
    }

    async fn output(&self, args: &[&str]) -> Result<Output> {
        let mut command = Command::from(self.project.compose());
        command.args(args).stdin(Stdio::null()).kill_on_drop(true);
        command.output().await.context("starting docker")
    }
}
