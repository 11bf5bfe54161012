//! Health as probes see it: by name over gRPC, and by the exit codes of `healthcheck`, which are those of
//! `grpc_health_probe`. Without the database no service serves. Without the broker all serve, and report it under a
//! separate name.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::stream;
use scenarios::caller::channel;
use scenarios::patience::eventually;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

use crate::containers::Containers;

/// How long the detection of a loss or return may take.
const NOTICED: Duration = Duration::from_secs(60);

const SERVING: i32 = 0;
const BAD_ARGUMENTS: i32 = 1;
const NO_CONNECTION: i32 = 2;
const NO_ANSWER: i32 = 3;
const NOT_SERVING: i32 = 4;

pub(crate) struct Service {
    /// The name in docker-compose.yml, and of its program.
    container: &'static str,
    name: &'static str,
    channel: Channel,
}

impl Service {
    pub(crate) fn new(
        container: &'static str,
        name: &'static str,
        address: SocketAddr,
    ) -> Result<Self> {
        Ok(Self {
            container,
            name,
            channel: channel(address)?,
        })
    }

    fn broker(&self) -> String {
        format!("{}/broker", self.name)
    }

    async fn check(&self, name: &str) -> Result<ServingStatus, Status> {
        let request = HealthCheckRequest {
            service: name.to_owned(),
        };
        let mut health = HealthClient::new(self.channel.clone());
        Ok(health.check(request).await?.into_inner().status())
    }

    async fn becomes(&self, name: &str, status: ServingStatus) -> Result<()> {
        let what = format!("{name:?} of {} is {}", self.container, status.as_str_name());
        eventually(&what, NOTICED, async || match self.check(name).await {
            Ok(seen) if seen == status => Ok(()),
            seen => Err(seen),
        })
        .await
    }

    /// Checks the exit code of the program in the container.
    async fn exits(&self, containers: &Containers<'_>, args: &[&str], expected: i32) -> Result<()> {
        let check = ["/usr/local/bin/angarium", self.container, "healthcheck"];
        let line = [&check[..], args].concat();
        let code = containers.exit_code(self.container, &line).await?;
        ensure!(
            code == expected,
            "{} ends with {code}, not {expected}",
            line.join(" ")
        );
        Ok(())
    }
}

pub(crate) async fn run(services: &[Service], containers: &Containers<'_>) -> Result<()> {
    for service in services {
        everything_serves(service, containers).await?;
        nothing_is_described(service).await?;
    }
    let others = containers.starts_besides("postgres").await?;
    containers.compose(&["stop", "postgres"]).await?;
    for service in services {
        for name in ["", service.name] {
            service.becomes(name, ServingStatus::NotServing).await?;
        }
        service
            .becomes(&service.broker(), ServingStatus::Serving)
            .await?;
        service.exits(containers, &[], NOT_SERVING).await?;
        service
            .exits(containers, &["--service", service.name], NOT_SERVING)
            .await?;
    }
    containers.compose(&["start", "postgres"]).await?;
    for service in services {
        service.becomes("", ServingStatus::Serving).await?;
        service.exits(containers, &[], SERVING).await?;
    }
    ensure!(
        containers.starts_besides("postgres").await? == others,
        "a container was restarted"
    );

    let others = containers.starts_besides("rabbitmq").await?;
    containers.compose(&["stop", "rabbitmq"]).await?;
    for service in services {
        service
            .becomes(&service.broker(), ServingStatus::NotServing)
            .await?;
        service.becomes("", ServingStatus::Serving).await?;
        service
            .exits(containers, &["--service", &service.broker()], NOT_SERVING)
            .await?;
        service.exits(containers, &[], SERVING).await?;
    }
    containers.compose(&["start", "rabbitmq"]).await?;
    for service in services {
        service
            .becomes(&service.broker(), ServingStatus::Serving)
            .await?;
    }
    ensure!(
        containers.starts_besides("rabbitmq").await? == others,
        "a container was restarted"
    );
    containers.all_healthy().await
}

async fn everything_serves(service: &Service, containers: &Containers<'_>) -> Result<()> {
    for name in ["", service.name, &service.broker()] {
        service.becomes(name, ServingStatus::Serving).await?;
        service
            .exits(containers, &["--service", name], SERVING)
            .await?;
    }
    let unknown = service
        .check("unknown")
        .await
        .err()
        .map(|status| status.code());
    ensure!(
        unknown == Some(Code::NotFound),
        "of an unknown name: {unknown:?}"
    );
    service
        .exits(containers, &["--service", "unknown"], NO_ANSWER)
        .await?;
    service
        .exits(containers, &["--addr", "127.0.0.1:1"], NO_CONNECTION)
        .await?;
    service
        .exits(containers, &["--addr", "here"], BAD_ARGUMENTS)
        .await
}

/// Reflection is off in production.
async fn nothing_is_described(service: &Service) -> Result<()> {
    let mut reflection = ServerReflectionClient::new(service.channel.clone());
    let question = ServerReflectionRequest::default();
    let answer = reflection
        .server_reflection_info(stream::iter([question]))
        .await;
    let code = answer.err().map(|status| status.code());
    ensure!(
        code == Some(Code::Unimplemented),
        "{} offers reflection: {code:?}",
        service.container
    );
    Ok(())
}
