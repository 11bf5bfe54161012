//! Makes a service's topology exist: durable topic exchanges, quorum queues with an explicit delivery limit, and a
//! dead-letter queue for each.
//!
//! Arguments rather than policies, because a plain broker offers only the AMQP port. What is declared is the same on 3.10
//! and 4.x: the delivery limit is explicit because only 4.0 has a default one.

use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};

use super::connection::Connection;
use crate::transport::{DEAD_LETTER_EXCHANGE, Queue, Topology, TransportError, dead_letter_queue};

pub(super) async fn declare(
    connection: &Connection,
    topology: &Topology,
) -> Result<(), TransportError> {
    for exchange in &topology.exchanges {
        declare_exchange(connection, exchange, ExchangeKind::Topic).await?;
    }
    let Some(queue) = &topology.queue else {
        return Ok(());
    };
    declare_exchange(connection, DEAD_LETTER_EXCHANGE, ExchangeKind::Direct).await?;
    // The dead-letter queue first: from its first delivery on, the queue has somewhere to put what it gives up on.
    let dead_letters = dead_letter_queue(&queue.name);
    declare_queue(connection, &dead_letters, quorum()).await?;
    bind(connection, &dead_letters, DEAD_LETTER_EXCHANGE, &queue.name).await?;
    declare_queue(connection, &queue.name, arguments(connection, queue)?).await?;
    for binding in &queue.bindings {
        bind(connection, &queue.name, &binding.exchange, &binding.pattern).await?;
    }
    Ok(())
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

fn arguments(connection: &Connection, queue: &Queue) -> Result<FieldTable, TransportError> {
    let mut arguments = quorum();
    arguments.insert(
        "x-delivery-limit".into(),
        AMQPValue::LongInt(queue.delivery_limit.into()),
    );
    arguments.insert(
        "x-dead-letter-exchange".into(),
        text(connection.name(DEAD_LETTER_EXCHANGE)?.as_str()),
    );
    arguments.insert("x-dead-letter-routing-key".into(), text(&queue.name));
    // At-least-once dead-lettering holds only where a full queue refuses; with the default it silently does not.
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    Ok(arguments)
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

async fn declare_exchange(
    connection: &Connection,
    name: &str,
    kind: ExchangeKind,
) -> Result<(), TransportError> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let declaring = connection.channel.exchange_declare(
        connection.name(name)?,
        kind,
        options,
        FieldTable::default(),
    );
    connection
        .wait(&format!("declaring exchange `{name}`"), declaring)
        .await
}

async fn declare_queue(
    connection: &Connection,
    name: &str,
    arguments: FieldTable,
) -> Result<(), TransportError> {
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let declaring = connection
        .channel
        .queue_declare(connection.name(name)?, options, arguments);
    connection
        .wait(&format!("declaring queue `{name}`"), declaring)
        .await?;
    Ok(())
}

async fn bind(
    connection: &Connection,
    queue: &str,
    exchange: &str,
    key: &str,
) -> Result<(), TransportError> {
    let binding = connection.channel.queue_bind(
        connection.name(queue)?,
        connection.name(exchange)?,
        super::connection::short(key)?,
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    connection
        .wait(
            &format!("binding queue `{queue}` to `{exchange}` with `{key}`"),
            binding,
        )
        .await
}
