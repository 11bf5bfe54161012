//! An operation that a user tries on a broker.

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
    QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ErrorKind, ExchangeKind};
use url::Url;

/// One operation, with the names on the broker.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Publish to an exchange; "" is the default one.
    Publish(String),
    /// Declare a topic exchange.
    DeclareExchange(String),
    /// Declare a queue.
    DeclareQueue(String),
    /// Delete an exchange.
    DeleteExchange(String),
    /// Delete a queue.
    DeleteQueue(String),
    /// Purge a queue.
    Purge(String),
    /// Get a message from a queue.
    Get(String),
    /// Bind a queue to an exchange.
    Bind {
        /// The queue.
        queue: String,
        /// The exchange.
        exchange: String,
    },
}

impl Operation {
    /// Tries it on a separate connection.
    ///
    /// # Errors
    /// The reply code of the broker's refusal; 403 means that the user lacks the permission.
    ///
    /// # Panics
    /// If the user cannot log in.
    pub async fn attempt(&self, url: &Url) -> Result<(), u16> {
        let connecting = Connection::connect(url.as_str(), ConnectionProperties::default());
        let connection = connecting
            .await
            .unwrap_or_else(|error| panic!("logging in: {error}"));
        let channel = connection.create_channel().await.expect("a channel");
        let attempted = self.on(&channel).await.map_err(|error| match error.kind() {
            ErrorKind::ProtocolError(said) => said.get_id(),
            _ => panic!("{self:?}: {error}"),
        });
        let _ = connection.close(200, "done".into()).await;
        attempted
    }

    async fn on(&self, channel: &Channel) -> lapin::Result<()> {
        match self.clone() {
            Self::Publish(exchange) => {
                channel
                    .confirm_select(ConfirmSelectOptions::default())
                    .await?;
                let publishing = channel.basic_publish(
                    exchange.into(),
                    "anything".into(),
                    BasicPublishOptions::default(),
                    b"forged",
                    BasicProperties::default(),
                );
                publishing.await?.await.map(drop)
            }
            Self::DeclareExchange(name) => {
                let options = ExchangeDeclareOptions {
                    durable: true,
                    ..ExchangeDeclareOptions::default()
                };
                channel
                    .exchange_declare(
                        name.into(),
                        ExchangeKind::Topic,
                        options,
                        FieldTable::default(),
                    )
                    .await
            }
            Self::DeclareQueue(name) => {
                let options = QueueDeclareOptions {
                    durable: true,
                    ..QueueDeclareOptions::default()
                };
                let declaring = channel.queue_declare(name.into(), options, FieldTable::default());
                declaring.await.map(drop)
            }
            Self::DeleteExchange(name) => {
                channel
                    .exchange_delete(name.into(), ExchangeDeleteOptions::default())
                    .await
            }
            Self::DeleteQueue(name) => {
                let deleting = channel.queue_delete(name.into(), QueueDeleteOptions::default());
                deleting.await.map(drop)
            }
            Self::Purge(name) => {
                let purging = channel.queue_purge(name.into(), QueuePurgeOptions::default());
                purging.await.map(drop)
            }
            Self::Get(name) => {
                let getting = channel.basic_get(name.into(), BasicGetOptions::default());
                getting.await.map(drop)
            }
            Self::Bind { queue, exchange } => {
                channel
                    .queue_bind(
                        queue.into(),
                        exchange.into(),
                        "#".into(),
                        QueueBindOptions::default(),
                        FieldTable::default(),
                    )
                    .await
            }
        }
    }
}
