//! Publishes checkpoints, over the relay's connection and beside the events.
//!
//! Guarantee: a checkpoint goes to each exchange of the service after the events that it lists are confirmed, so it comes behind them
//! in every queue. It goes at least once; consumers know it by its number. One that no queue takes counts as published: where a
//! queue is missing, its consumer sees the gap. No trouble with a checkpoint disturbs the events.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use event::{
    CHECKPOINT_KEY, CHECKPOINT_TYPE, Checkpoint, Envelope, Message, Published, TraceContext,
};
use prost::Message as _;
use sea_orm::DbErr;
use uuid::Uuid;

use super::CheckpointPace;
use super::taking::{self, Listed, Taken};
use crate::retry::millis;
use crate::store::Store;
use crate::transport::{Confirmation, Publisher, TransportError};

/// No transaction raises this signal: a few seconds do not matter.
const SIGNAL: &str = "checkpoint";
/// Before the next look, where something is due and another replica is at it.
const SOON: Duration = Duration::from_millis(100);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// What a relay needs to publish checkpoints.
pub(crate) struct Checkpoints {
    /// The producer's name.
    pub(crate) source: String,
    pub(crate) exchanges: Vec<String>,
    pub(crate) pace: CheckpointPace,
    /// OUTBOX_RETENTION.
    pub(crate) retention: Duration,
}

#[derive(Debug, thiserror::Error)]
enum CheckpointError {
    #[error(transparent)]
    Store(#[from] DbErr),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("the broker refuses it: {0}")]
    Refused(String),
}

impl Checkpoints {
    /// Publishes whatever is due, for as long as the future is polled.
    pub(crate) async fn publish_over(
        &self,
        store: &Store,
        publisher: &dyn Publisher,
    ) -> Infallible {
        let mut due = store.due(SIGNAL, taking::due_in_ms(&self.pace));
        loop {
            let published = self.publish_due(store, publisher).await;
            let known = match published {
                Ok(()) => due.ask().await.map_err(CheckpointError::from),
                Err(error) => Err(error),
            };
            let pause = match known {
                // Just what another replica is at, or what has become due in this moment.
                Ok(Some(Duration::ZERO)) => Some(SOON),
                Ok(known) => known,
                Err(error) => {
                    tracing::debug!(%error, "a checkpoint waits");
                    Some(PAUSE)
                }
            };
            due.sleep(pause).await;
        }
    }

    async fn publish_due(
        &self,
        store: &Store,
        publisher: &dyn Publisher,
    ) -> Result<(), CheckpointError> {
        loop {
            publisher.ready().await?;
            let Some(taken) = taking::take(store, &self.pace).await? else {
                return Ok(());
            };
            if let Err(error) = self.publish(store, publisher, &taken).await {
                taking::postpone(store, taken.number, millis(PAUSE)).await?;
                return Err(error);
            }
            taking::confirmed(store, taken.number).await?;
        }
    }

    async fn publish(
        &self,
        store: &Store,
        publisher: &dyn Publisher,
        taken: &Taken,
    ) -> Result<(), CheckpointError> {
        let listed = taking::listed(store, taken).await?;
        let mut confirms = Vec::with_capacity(self.exchanges.len());
        for exchange in &self.exchanges {
            let of_exchange = listed.iter().filter(|event| event.exchange == *exchange);
            let checkpoint = self.checkpoint(taken, exchange, of_exchange);
            let message = self.message(taken, &checkpoint);
            confirms.push(publisher.publish(&message).await?);
        }
        for confirm in confirms {
            if let Confirmation::Refused(reason) = confirm.await? {
                return Err(CheckpointError::Refused(reason));
            }
        }
        Ok(())
    }

    fn checkpoint<'a>(
        &self,
        taken: &Taken,
        exchange: &str,
        listed: impl Iterator<Item = &'a Listed>,
    ) -> Checkpoint {
        let mut by_type: BTreeMap<(&str, &str), Vec<Vec<u8>>> = BTreeMap::new();
        let mut oldest_ms = None;
        for event in listed {
            let kind = (event.event_type.as_str(), event.routing_key.as_str());
            by_type.entry(kind).or_default().push(event.id.into());
            let published = Some(event.published_ms);
            oldest_ms = published.into_iter().chain(oldest_ms).min();
        }
        let published = by_type.into_iter();
        let published = published.map(|((event_type, routing_key), event_ids)| Published {
            event_type: event_type.to_owned(),
            routing_key: routing_key.to_owned(),
            event_ids,
        });
        Checkpoint {
            exchange: exchange.to_owned(),
            number: taken.number,
            stamp: taken.stamp,
            oldest_published_ms: oldest_ms.unwrap_or(0),
            interval_s: seconds(self.pace.idle),
            retention_s: seconds(self.retention),
            published: published.collect(),
        }
    }

    /// Its id differs by exchange, because a queue may be bound to several exchanges of one producer.
    fn message(&self, taken: &Taken, checkpoint: &Checkpoint) -> Message {
        let id = Uuid::new_v5(&taken.id, checkpoint.exchange.as_bytes());
        let envelope = Envelope {
            id,
            event_type: CHECKPOINT_TYPE.to_owned(),
            source: self.source.clone(),
            time_ms: taken.taken_ms,
            aggregate_id: self.source.clone(),
            aggregate_version: Some(taken.number),
            correlation_id: id.to_string(),
            trace: TraceContext::default(),
        };
        let body = checkpoint.encode_to_vec().into();
        envelope.to_message(&checkpoint.exchange, CHECKPOINT_KEY, body)
    }
}

/// At least one: a shorter interval than a second is a test's.
fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs().max(1)).unwrap_or(i64::MAX)
}
