//! All services in one process, each with its own database, over one broker.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use messaging::transport::{Broker, Embedded};
use runtime::config::GrpcConfig;
use runtime::{Shutdown, Tasks};
use service::{Common, Host};
use store::DatabaseConfig;

use crate::args::Config;
use crate::registry::{Registered, SERVICES};

pub struct System {
    hosts: Vec<(&'static Registered, Host)>,
}

#[derive(Clone)]
pub struct Addresses(Vec<(&'static Registered, SocketAddr)>);

impl Addresses {
    pub fn of(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let named = self.0.iter().find(|(one, _)| one.definition.name == name);
        let (_, address) = named.with_context(|| format!("no service is called {name}"))?;
        Ok(*address)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static Registered, SocketAddr)> {
        self.0.iter().copied()
    }
}

impl System {
    /// Builds all services before any of them runs: every queue is bound before the first event.
    ///
    /// # Errors
    /// If a database, the queue file or a port is not available.
    pub async fn build(config: &Config) -> anyhow::Result<Self> {
        Self::build_on(config, broker(config).await?).await
    }

    /// As [`build`](Self::build), with an existing broker.
    ///
    /// # Errors
    /// If a database or a port is not available.
    pub async fn build_on(config: &Config, broker: Broker) -> anyhow::Result<Self> {
        let mut hosts = Vec::new();
        for (service, index) in SERVICES.iter().zip(0..) {
            let name = service.definition.name;
            let common = Common {
                grpc: grpc(config, index),
                database: database(config, name),
                broker: broker.clone(),
                engine: config.engine.clone(),
                telemetry: config.telemetry.clone(),
                lifecycle: config.lifecycle.clone(),
            };
            let host = (service.build)(common, &config.own)
                .await
                .with_context(|| format!("the {} cannot start", name.replace('-', " ")))?;
            hosts.push((service, host));
        }
        Ok(Self { hosts })
    }

    pub fn addresses(&self) -> Addresses {
        let hosts = self.hosts.iter();
        Addresses(
            hosts
                .map(|(service, host)| (*service, host.grpc_addr()))
                .collect(),
        )
    }

    /// Serves until `shutdown`; returns after draining.
    ///
    /// # Errors
    /// The first service that failed, by name.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut tasks = Tasks::new(&shutdown);
        for (service, host) in self.hosts {
            tasks.spawn(service.definition.name, host.run(shutdown.clone()));
        }
        tasks.join().await
    }
}

/// RabbitMQ, or the queue file in the data folder.
pub(crate) async fn broker(config: &Config) -> anyhow::Result<Broker> {
    match &config.rabbitmq {
        Some(rabbitmq) => Ok(Broker::RabbitMq(rabbitmq.clone())),
        None => {
            let folder = &config.data_dir;
            std::fs::create_dir_all(folder).with_context(|| {
                let folder = folder.display();
                format!("the data folder {folder} cannot be made; choose another one with DATA_DIR")
            })?;
            let file = Embedded::open(&folder.join("events.db")).await?;
            Ok(Broker::Embedded(file))
        }
    }
}

/// Consecutive ports, unless the system chooses them.
fn grpc(config: &Config, index: u16) -> GrpcConfig {
    let mut listen = config.grpc.listen;
    if listen.port() != 0 {
        listen.set_port(listen.port() + index);
    }
    config.grpc.with_listen(listen)
}

/// A separate schema or file: no service sees another one's tables by accident.
pub fn database(config: &Config, service: &str) -> DatabaseConfig {
    match &config.database {
        Some(postgres) => postgres.clone().with_schema(service.replace('-', "_")),
        None => DatabaseConfig {
            migrate: config.migrate,
            ..DatabaseConfig::sqlite(file(&config.data_dir, service))
        },
    }
}

pub(crate) fn file(data_dir: &Path, service: &str) -> std::path::PathBuf {
    data_dir.join(service).with_extension("db")
}
