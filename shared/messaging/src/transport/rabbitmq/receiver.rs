//! Consumes one queue with manual acknowledgement.

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;

use super::connection::Connection;
use super::properties::from_amqp;
use crate::transport::{Ack, Delivery, Receiver, TransportError};

/// A consumer can go silent without an error (a half-open connection, stuck I/O). The channel then gets a request that
/// it must answer.
const SILENCE: Duration = Duration::from_secs(15);

pub(super) struct RabbitMqReceiver {
    connection: Connection,
    consumer: lapin::Consumer,
    queue: String,
    prefetch: u16,
}

impl RabbitMqReceiver {
    pub(super) async fn open(
        connection: Connection,
        queue: &str,
        prefetch: u16,
    ) -> Result<Self, TransportError> {
        let consumer = consume(&connection, queue, prefetch).await?;
        Ok(Self {
            connection,
            consumer,
            queue: queue.to_owned(),
            prefetch,
        })
    }

    async fn probe(&self) -> Result<(), TransportError> {
        let asking = self
            .connection
            .channel
            .basic_qos(self.prefetch, BasicQosOptions::default());
        self.connection
            .wait("probing a silent consumer", asking)
            .await
    }
}

#[async_trait]
impl Receiver for RabbitMqReceiver {
    async fn receive(&mut self) -> Result<Delivery, TransportError> {
        let action = || format!("receiving from queue `{}`", self.queue);
        loop {
            match tokio::time::timeout(SILENCE, self.consumer.next()).await {
                Ok(Some(Ok(delivery))) => {
                    return Ok(Delivery {
                        tag: delivery.delivery_tag,
                        redelivered: delivery.redelivered,
                        message: from_amqp(&self.connection, delivery),
                    });
                }
                Ok(Some(Err(error))) => return Err(TransportError::new(action(), error)),
                // The queue was deleted, or the broker cancelled the consumer.
                Ok(None) => {
                    return Err(TransportError::new(
                        action(),
                        "the broker cancelled the consumer",
                    ));
                }
                Err(_) => self.probe().await?,
            }
        }
    }

    async fn acknowledge(&mut self, ack: Ack) -> Result<(), TransportError> {
        let (tag, multiple) = match ack {
            Ack::One(tag) => (tag, false),
            Ack::UpTo(tag) => (tag, true),
        };
        let acking = self
            .connection
            .channel
            .basic_ack(tag, BasicAckOptions { multiple });
        self.connection.wait("acknowledging", acking).await
    }

    async fn widen(&mut self, prefetch: u16) -> Result<(), TransportError> {
        // A consumer keeps its first prefetch, so a new one takes over. No delivery is on its way to the old one, which
        // has its only one.
        let channel = &self.connection.channel;
        let cancelling = channel.basic_cancel(self.consumer.tag(), BasicCancelOptions::default());
        self.connection
            .wait("ending a consumer", cancelling)
            .await?;
        self.consumer = consume(&self.connection, &self.queue, prefetch).await?;
        self.prefetch = prefetch;
        Ok(())
    }
}

async fn consume(
    connection: &Connection,
    queue: &str,
    prefetch: u16,
) -> Result<lapin::Consumer, TransportError> {
    let channel = &connection.channel;
    let qos = channel.basic_qos(prefetch, BasicQosOptions::default());
    connection.wait("setting the prefetch", qos).await?;
    // So replicas do not collide.
    let consuming = channel.basic_consume(
        connection.name(queue)?,
        "".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let action = format!("consuming queue `{queue}`");
    connection.wait_for_consumer(&action, consuming).await
}
