//! Declares a service's topology: durable topic exchanges, quorum queues with an explicit delivery limit, and a
//! dead-letter queue for each.
//!
//! Arguments rather than policies, because a plain broker offers only the AMQP port. If the service may not declare,
//! the visible part of an operator's declarations is verified instead.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::connection::{Connection, short};
use super::difference::{self, Logged};
use super::refusal::Refusal;
use super::verify;
use crate::transport::{
    DEAD_LETTER_EXCHANGE, Setting, SettingValue, Topology, TopologyMismatch, TransportError,
    dead_letter_queue, dead_letter_settings,
};

/// Idempotent. Runs at each connect.
///
/// Existing items with other settings are used unchanged: a rolling upgrade changes settings, and must not make a start
/// fail. An exchange of another type is refused: it would route events to no queue.
pub(super) async fn declare(
    connection: &Connection,
    topology: &Topology,
    differences: &Logged,
) -> Result<(), TransportError> {
    // A separate channel, because the broker closes it with a refusal.
    let mut declaring = Declaring {
        channel: connection.open_channel().await?,
        connection,
        differences,
    };
    let Err(error) = declaring.all(topology).await else {
        return connection.close_channel(&declaring.channel).await;
    };
    match Refusal::of(&error) {
        Some(Refusal::Forbidden) => {
            tracing::debug!(%error, "the service may not declare; it verifies the existing topology");
            verify::verify(connection, topology).await
        }
        Some(Refusal::Different) => Err(TransportError::new(
            "declaring the topology",
            TopologyMismatch::Different(error.to_string()),
        )),
        Some(Refusal::Absent | Refusal::VirtualHost) | None => Err(error),
    }
}

struct Declaring<'a> {
    channel: Channel,
    connection: &'a Connection,
    differences: &'a Logged,
}

impl Declaring<'_> {
    async fn all(&mut self, topology: &Topology) -> Result<(), TransportError> {
        for exchange in &topology.exchanges {
            self.make(&Needed::Topic(exchange), vec![]).await?;
        }
        let Some(queue) = &topology.queue else {
            return Ok(());
        };
        self.make(&Needed::Direct(DEAD_LETTER_EXCHANGE), vec![])
            .await?;
        // It exists before the first dead letter.
        let dead_letters = dead_letter_queue(&queue.name);
        self.make(&Needed::Queue(&dead_letters), dead_letter_settings())
            .await?;
        self.bind(&dead_letters, DEAD_LETTER_EXCHANGE, &queue.name)
            .await?;
        let dlx = self.connection.name(DEAD_LETTER_EXCHANGE)?;
        let settings = queue.settings(dlx.as_str());
        self.make(&Needed::Queue(&queue.name), settings).await?;
        for binding in &queue.bindings {
            self.bind(&queue.name, &binding.exchange, &binding.pattern)
                .await?;
        }
        Ok(())
    }

    async fn make(
        &mut self,
        needed: &Needed<'_>,
        settings: Vec<Setting>,
    ) -> Result<(), TransportError> {
        let making = match needed {
            Needed::Topic(name) => self.exchange(name, ExchangeKind::Topic).await,
            Needed::Direct(name) => self.exchange(name, ExchangeKind::Direct).await,
            Needed::Queue(name) => self.queue(name, settings).await,
        };
        let Err(error) = making else {
            return Ok(());
        };
        let said = error.to_string();
        let is_usable = difference::read(&said).argument != Some("type");
        if Refusal::of(&error) != Some(Refusal::Different) || !is_usable {
            return Err(error);
        }
        let asked = needed.asked();
        if let Some(missing) = verify::look(self.connection, &asked).await? {
            // Deleted meanwhile, or no access: the next connect checks again.
            return Err(TransportError::new(missing, error));
        }
        self.differences.warn(needed.name(), &said);
        self.channel = self.connection.open_channel().await?;
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

enum Needed<'a> {
    Topic(&'a str),
    Direct(&'a str),
    Queue(&'a str),
}

impl Needed<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Topic(name) | Self::Direct(name) | Self::Queue(name) => name,
        }
    }

    fn asked(&self) -> verify::Needed {
        match self {
            Self::Topic(name) | Self::Direct(name) => verify::Needed::Exchange((*name).to_owned()),
            Self::Queue(name) => verify::Needed::Queue((*name).to_owned()),
        }
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
