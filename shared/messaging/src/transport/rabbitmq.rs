//! RabbitMQ over AMQP 0-9-1, from 3.10 on, without plugins.
//!
//! Publishing and consuming have separate connections, because the broker slows down a publisher by not reading from
//! its connection. lapin's own recovery is off (it hangs when a connection breaks under load): every wait has a
//! time-out, any error ends the connection, and its user reconnects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::{Publisher, Receiver, Topology, Transport, TransportError};
use crate::telemetry::System;

mod answers;
mod blocked;
mod config;
mod connection;
mod declare;
mod difference;
mod knock;
mod pace;
mod properties;
mod publisher;
mod readable;
mod receiver;
mod refusal;
mod socket;
mod tls;
mod unbind;
mod verify;

pub use config::RabbitMqConfig;
pub use tls::RabbitMqTls;

/// A RabbitMQ broker as one service sees it. Connects on demand.
pub struct RabbitMq {
    config: Arc<RabbitMqConfig>,
    /// The name of the connections in management.
    service: String,
    topology: Topology,
    pace: pace::Pace,
    is_silent: AtomicBool,
    differences: difference::Logged,
}

impl RabbitMq {
    /// `service` names the connections; `topology` is declared at each connect.
    pub fn new(config: RabbitMqConfig, service: &str, topology: Topology) -> Self {
        Self {
            config: Arc::new(config),
            service: service.to_owned(),
            topology,
            pace: pace::Pace::default(),
            is_silent: AtomicBool::default(),
            differences: difference::Logged::default(),
        }
    }

    async fn connect(&self, purpose: &str) -> Result<connection::Connection, TransportError> {
        self.pace.wait().await;
        if self.is_silent.load(Ordering::Relaxed) {
            let uri = connection::uri(&self.config)?;
            knock::knock(&uri.authority, self.config.time_out).await?;
        }
        let name = format!("{} {purpose}", self.service);
        let opened = connection::Connection::open(&self.config, &name).await;
        // If lapin has its own error, it has ended the attempt itself.
        let silent = opened
            .as_ref()
            .err()
            .is_some_and(|error| error.cause::<lapin::Error>().is_none());
        self.is_silent.store(silent, Ordering::Relaxed);
        let connection = opened.map_err(|error| refusal::explain(error, &self.config))?;
        declare::declare(&connection, &self.topology, &self.differences).await?;
        Ok(connection)
    }
}

#[async_trait]
impl Transport for RabbitMq {
    fn system(&self) -> System {
        let authority = self.config.uri().ok().map(|uri| uri.authority);
        System {
            name: "rabbitmq",
            server: authority.map(|authority| (authority.host, authority.port)),
        }
    }

    async fn declare(&self) -> Result<(), TransportError> {
        self.connect("declare").await?.close().await;
        Ok(())
    }

    async fn publisher(&self) -> Result<Box<dyn Publisher>, TransportError> {
        let connection = self.connect("publish").await?;
        Ok(Box::new(
            publisher::RabbitMqPublisher::open(connection).await?,
        ))
    }

    async fn receiver(
        &self,
        queue: &str,
        prefetch: u16,
    ) -> Result<Box<dyn Receiver>, TransportError> {
        let connection = self.connect("consume").await?;
        Ok(Box::new(
            receiver::RabbitMqReceiver::open(connection, queue, prefetch).await?,
        ))
    }
}
