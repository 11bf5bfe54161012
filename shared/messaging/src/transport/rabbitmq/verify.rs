//! Checks whether an operator has declared what a service needs, on a broker where the service may not.
//!
//! Only what the service publishes to or consumes is checked: from 4.3 on nothing else is visible, and before that the
//! check needs no permission. AMQP cannot show bindings: without one, events are returned as unroutable and wait in the
//! outbox.

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, ExchangeKind};

use super::connection::Connection;
use super::refusal::Refusal;
use crate::transport::{Topology, TopologyMismatch, TransportError, dead_letter_queue};

/// # Errors
/// A [`TopologyMismatch`] with everything that is missing, or an unreachable broker.
pub(super) async fn verify(
    connection: &Connection,
    topology: &Topology,
) -> Result<(), TransportError> {
    let exchanges = topology.published.iter().cloned().map(Needed::Exchange);
    let queues = topology.queue.iter().flat_map(|queue| {
        let dead_letters = dead_letter_queue(&queue.name);
        [queue.name.clone(), dead_letters].map(Needed::Queue)
    });
    let mut differences = Vec::new();
    for needed in exchanges.chain(queues) {
        if let Some(difference) = look(connection, &needed).await? {
            differences.push(difference);
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(TransportError::new(
        "verifying the topology",
        TopologyMismatch::Missing(differences),
    ))
}

pub(super) enum Needed {
    Exchange(String),
    Queue(String),
}

pub(super) async fn look(
    connection: &Connection,
    needed: &Needed,
) -> Result<Option<String>, TransportError> {
    // The broker closes the channel if the item is missing.
    let channel = connection.open_channel().await?;
    let (what, asked) = match needed {
        Needed::Exchange(name) => {
            let name = connection.name(name)?;
            let what = format!("exchange `{name}`");
            (what, ask_for_exchange(connection, &channel, &name).await)
        }
        Needed::Queue(name) => {
            let name = connection.name(name)?;
            let what = format!("queue `{name}`");
            (what, ask_for_queue(connection, &channel, &name).await)
        }
    };
    let Err(error) = asked else {
        connection.close_channel(&channel).await?;
        return Ok(None);
    };
    match Refusal::of(&error) {
        Some(Refusal::Absent) => Ok(Some(format!("{what} is missing"))),
        Some(Refusal::Forbidden) => Ok(Some(format!(
            "{what} is missing, or closed to this service's user"
        ))),
        Some(Refusal::Different | Refusal::VirtualHost) | None => Err(error),
    }
}

async fn ask_for_exchange(
    connection: &Connection,
    channel: &Channel,
    name: &lapin::types::ShortString,
) -> Result<(), TransportError> {
    let options = ExchangeDeclareOptions {
        passive: true,
        ..ExchangeDeclareOptions::default()
    };
    let asking = channel.exchange_declare(
        name.clone(),
        ExchangeKind::Topic,
        options,
        FieldTable::default(),
    );
    connection.wait("looking for an exchange", asking).await
}

async fn ask_for_queue(
    connection: &Connection,
    channel: &Channel,
    name: &lapin::types::ShortString,
) -> Result<(), TransportError> {
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let asking = channel.queue_declare(name.clone(), options, FieldTable::default());
    connection.wait("looking for a queue", asking).await?;
    Ok(())
}
