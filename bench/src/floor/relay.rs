//! Publishes committed events, up to 500 at a time: it awaits every confirm and marks them with one statement.

use std::time::Duration;

use anyhow::{Result, bail};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, Confirmation};
use sea_orm::sqlx::{self, PgPool};
use tokio::sync::Notify;
use uuid::Uuid;

use super::broker::QUEUE;

const BATCH: i64 = 500;
/// The poll interval without a commit.
const SAFETY_NET: Duration = Duration::from_secs(1);
const PERSISTENT: u8 = 2;

const PENDING: &str = "
SELECT sequence, event_id, payload, correlation_id FROM outbox
WHERE published_at IS NULL ORDER BY sequence LIMIT $1";
const MARK: &str = "UPDATE outbox SET published_at = now() WHERE sequence = ANY($1)";

pub(crate) async fn run(pool: &PgPool, channel: &Channel, woken: &Notify) -> Result<()> {
    loop {
        let pending: Vec<(i64, Uuid, Vec<u8>, String)> =
            sqlx::query_as(PENDING).bind(BATCH).fetch_all(pool).await?;
        if pending.is_empty() {
            let _ = tokio::time::timeout(SAFETY_NET, woken.notified()).await;
            continue;
        }
        let mut confirms = Vec::with_capacity(pending.len());
        for (_, event_id, payload, correlation_id) in &pending {
            confirms.push(publish(channel, QUEUE, event_id, payload, correlation_id).await?);
        }
        for confirm in confirms {
            confirmed(confirm.await?)?;
        }
        let sequences: Vec<i64> = pending.iter().map(|(sequence, ..)| *sequence).collect();
        sqlx::query(MARK).bind(sequences).execute(pool).await?;
    }
}

/// Publishes a persistent message, without waiting for its confirm.
pub(crate) async fn publish(
    channel: &Channel,
    queue: &str,
    event_id: &Uuid,
    payload: &[u8],
    correlation_id: &str,
) -> Result<impl Future<Output = Result<Confirmation, lapin::Error>> + use<>> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(event_id.to_string().into())
        .with_correlation_id(correlation_id.into());
    Ok(channel
        .basic_publish("".into(), queue.into(), options, payload, properties)
        .await?)
}

pub(crate) fn confirmed(confirmation: Confirmation) -> Result<()> {
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        other => bail!("a message was not confirmed: {other:?}"),
    }
}
