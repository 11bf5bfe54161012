//! Connections to the broker, and quorum queues on the default exchange.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lapin::options::{ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};
use url::Url;

pub(crate) const QUEUE: &str = "floor_mails";

const LIMIT: Duration = Duration::from_secs(20);

/// A channel in confirm mode, and the connection that it needs.
pub(crate) struct Link {
    pub(crate) channel: Channel,
    _connection: Connection,
}

pub(crate) async fn connect(url: &Url) -> Result<Link> {
    let connecting = Connection::connect(url.as_str(), ConnectionProperties::default());
    let connection = tokio::time::timeout(LIMIT, connecting).await;
    let connection = connection.context("the broker does not answer")??;
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    Ok(Link {
        channel,
        _connection: connection,
    })
}

/// Declares a durable quorum queue.
pub(crate) async fn declare(channel: &Channel, queue: &str) -> Result<()> {
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    channel
        .queue_declare(queue.into(), options, arguments)
        .await?;
    Ok(())
}
