//! The three services in one process, each with a database of its own, over one broker.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use messaging::transport::{Broker, Embedded};
use runtime::config::GrpcConfig;
use runtime::{Shutdown, Tasks};
use store::DatabaseConfig;

use crate::args::Config;

/// All services, bound and ready to run.
pub struct System {
    users: user_service::App,
    orders: order_service::App,
    notifications: notification_service::App,
}

/// Where the services take calls.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub users: SocketAddr,
    pub orders: SocketAddr,
    pub notifications: SocketAddr,
}

impl System {
    /// Builds all services before any of them runs: every queue is bound by the time that the first event is published.
    ///
    /// # Errors
    /// Where a database, the queue file or a port cannot be had.
    pub async fn build(config: &Config) -> anyhow::Result<Self> {
        Self::build_on(config, broker(config).await?).await
    }

    /// As [`build`](Self::build), on a broker that is there already.
    ///
    /// # Errors
    /// Where a database or a port cannot be had.
    pub async fn build_on(config: &Config, broker: Broker) -> anyhow::Result<Self> {
        let users = user_service::App::build(user_service::Config {
            secret_key: config.secret_key.clone(),
            mail_sealing_key: config.mail_sealing_key.clone(),
            identity: config.identity.clone(),
            grpc: grpc(config, 0),
            database: database(config, user_service::NAME),
            broker: broker.clone(),
            engine: config.engine.clone(),
            telemetry: config.telemetry.clone(),
            lifecycle: config.lifecycle.clone(),
        })
        .await
        .context("the user service cannot start")?;
        let orders = order_service::App::build(order_service::Config {
            grpc: grpc(config, 1),
            database: database(config, order_service::NAME),
            broker: broker.clone(),
            engine: config.engine.clone(),
            orders: config.orders.clone(),
            telemetry: config.telemetry.clone(),
            lifecycle: config.lifecycle.clone(),
        })
        .await
        .context("the order service cannot start")?;
        let notifications = notification_service::App::build(notification_service::Config {
            grpc: grpc(config, 2),
            database: database(config, notification_service::NAME),
            broker,
            engine: config.engine.clone(),
            mail: config.mail.clone(),
            mail_sealing_key: config.mail_sealing_key.clone(),
            telemetry: config.telemetry.clone(),
            lifecycle: config.lifecycle.clone(),
        })
        .await
        .context("the notification service cannot start")?;
        Ok(Self {
            users,
            orders,
            notifications,
        })
    }

    pub fn addresses(&self) -> Addresses {
        Addresses {
            users: self.users.grpc_addr(),
            orders: self.orders.grpc_addr(),
            notifications: self.notifications.grpc_addr(),
        }
    }

    /// Serves until `shutdown`, and returns when everything in flight is done.
    ///
    /// # Errors
    /// The first service that failed, by name.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut tasks = Tasks::new(&shutdown);
        tasks.spawn(user_service::NAME, self.users.run(shutdown.clone()));
        tasks.spawn(order_service::NAME, self.orders.run(shutdown.clone()));
        tasks.spawn(
            notification_service::NAME,
            self.notifications.run(shutdown.clone()),
        );
        tasks.join().await
    }
}

async fn broker(config: &Config) -> anyhow::Result<Broker> {
    match &config.rabbitmq {
        Some(rabbitmq) => Ok(Broker::RabbitMq(rabbitmq.clone())),
        None => Ok(Broker::Embedded(
            Embedded::open(&config.data_dir.join("events.db")).await?,
        )),
    }
}

/// The address of the `index`th service: the ports follow one another, unless the system chooses them.
fn grpc(config: &Config, index: u16) -> GrpcConfig {
    let mut listen = config.grpc.listen;
    if listen.port() != 0 {
        listen.set_port(listen.port() + index);
    }
    config.grpc.with_listen(listen)
}

/// A schema or a file of its own: no service can see another one's tables by accident.
pub fn database(config: &Config, service: &str) -> DatabaseConfig {
    match &config.database {
        Some(postgres) => postgres.clone().with_schema(service.replace('-', "_")),
        None => DatabaseConfig {
            migrate: config.migrate,
            ..DatabaseConfig::sqlite(file(&config.data_dir, service))
        },
    }
}

/// Where a service keeps its rows, unless a server is named.
pub(crate) fn file(data_dir: &Path, service: &str) -> std::path::PathBuf {
    data_dir.join(service).with_extension("db")
}
