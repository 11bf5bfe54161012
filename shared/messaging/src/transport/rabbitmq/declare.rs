//! Makes a service's topology exist: durable topic exchanges, quorum queues with an explicit delivery limit, and a
//! dead-letter queue for each.
//!
//! Arguments rather than policies, because a plain broker offers only the AMQP port. What is declared is the same on 3.10
//! and 4.x. Where the service may not declare, an operator has done it, and what can be seen of that is verified instead.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::connection::{Connection, short};
use super::refusal::Refusal;
use super::verify;
use crate::transport::{
    DEAD_LETTER_EXCHANGE, Setting, SettingValue, Topology, TopologyMismatch, TransportError,
    dead_letter_queue, dead_letter_settings,
};

/// Idempotent. Done at each connect.
pub(super) async fn declare(
    connection: &Connection,
    topology: &Topology,
) -> Result<(), TransportError> {
    // On a channel of its own, because the broker closes it with a refusal.
    let declaring = Declaring {
        channel: connection.open_channel().await?,
        connection,
    };
    let Err(error) = declaring.all(topology).await else {
        return connection.close_channel(&declaring.channel).await;
    };
    match Refusal::of(&error) {
        Some(Refusal::Forbidden) => {
            tracing::debug!(%error, "the service may not declare; it looks at what is there");
            verify::verify(connection, topology).await
        }
        // Made by somebody else, for another purpose or with other settings: to go on would be a guess.
        Some(Refusal::Different) => Err(TransportError::new(
            "declaring the topology",
            TopologyMismatch::Different(error.to_string()),
        )),
        Some(Refusal::Absent) | None => Err(error),
    }
}

struct Declaring<'a> {
    channel: Channel,
    connection: &'a Connection,
}

impl Declaring<'_> {
    async fn all(&self, topology: &Topology) -> Result<(), TransportError> {
        for exchange in &topology.exchanges {
            self.exchange(exchange, ExchangeKind::Topic).await?;
        }
        let Some(queue) = &topology.queue else {
            return Ok(());
        };
        self.exchange(DEAD_LETTER_EXCHANGE, ExchangeKind::Direct)
            .await?;
        // The dead-letter queue first: from its first delivery on, the queue has somewhere to put what it gives up on.
        let dead_letters = dead_letter_queue(&queue.name);
        self.queue(&dead_letters, dead_letter_settings()).await?;
        self.bind(&dead_letters, DEAD_LETTER_EXCHANGE, &queue.name)
            .await?;
        let dlx = self.connection.name(DEAD_LETTER_EXCHANGE)?;
        self.queue(&queue.name, queue.settings(dlx.as_str()))
            .await?;
        for binding in &queue.bindings {
            self.bind(&queue.name, &binding.exchange, &binding.pattern)
                .await?;
        }
        Ok(())
    }

    async fn exchange(&self, name: &str, kind: ExchangeKind) -> Result<(), TransportError> {
        let options = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let name = self.connection.name(name)?;
        let action = format!("declaring exchange `{name}`");
        let declaring = self
            .channel
            .exchange_declare(name, kind, options, FieldTable::default());
        self.connection.wait(&action, declaring).await
    }

    async fn queue(&self, name: &str, settings: Vec<Setting>) -> Result<(), TransportError> {
        let options = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        let name = self.connection.name(name)?;
        let action = format!("declaring queue `{name}`");
        let declaring = self
            .channel
            .queue_declare(name, options, arguments(settings)?);
        self.connection.wait(&action, declaring).await?;
        Ok(())
    }

    async fn bind(&self, queue: &str, exchange: &str, key: &str) -> Result<(), TransportError> {
        let (queue, exchange) = (
            self.connection.name(queue)?,
            self.connection.name(exchange)?,
        );
        let action = format!("binding queue `{queue}` to `{exchange}` with `{key}`");
        let binding = self.channel.queue_bind(
            queue,
            exchange,
            short(key)?,
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        self.connection.wait(&action, binding).await
    }
}

fn arguments(settings: Vec<Setting>) -> Result<FieldTable, TransportError> {
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    for (name, value) in settings {
        let value = match value {
            SettingValue::Number(number) => AMQPValue::LongUInt(number),
            SettingValue::Text(text) => AMQPValue::LongString(text.into()),
        };
        arguments.insert(short(&format!("x-{name}"))?, value);
    }
    Ok(arguments)
}
