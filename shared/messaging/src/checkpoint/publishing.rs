//! Publishes checkpoints over the relay's connection, beside the events.
//!
//! Guarantee: a checkpoint follows the confirms of its events, so it is behind them in every queue. It is published at
//! least once; consumers recognise it by its number. One that no queue takes counts as published: the consumer of a
//! missing queue sees the gap. A refused or unconfirmed one is published again, and events continue meanwhile.

use std::convert::Infallible;
use std::time::Duration;

use event::{CHECKPOINT_KEY, CHECKPOINT_TYPE, Checkpoint, Envelope, Message, TraceContext};
use prost::Message as _;
use sea_orm::DbErr;
use uuid::Uuid;

use super::Listing;
use super::taking::{self, Taken};
use crate::retry::millis;
use crate::store::Store;
use crate::transport::{Confirmation, Publisher, TransportError};

/// A few seconds do not matter, so no transaction raises it.
const SIGNAL: &str = "checkpoint";
/// While another replica publishes.
const SOON: Duration = Duration::from_millis(100);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(5);

pub(crate) struct Checkpoints {
    pub(crate) exchanges: Vec<String>,
    pub(crate) listing: Listing,
}

#[derive(Debug, thiserror::Error)]
enum CheckpointError {
    #[error(transparent)]
    Store(#[from] DbErr),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("the broker refuses it: {0}")]
    Refused(String),
    #[error("the broker has not confirmed it within {0:?}")]
    Unconfirmed(Duration),
}

impl Checkpoints {
    pub(crate) async fn publish_over(
        &self,
        store: &Store,
        publisher: &dyn Publisher,
    ) -> Infallible {
        let mut wakeup = store.wakeup(SIGNAL, taking::due_in_ms(&self.listing.pace));
        loop {
            let published = self.publish_due(store, publisher).await;
            let known = match published {
                Ok(()) => wakeup.ask().await.map_err(CheckpointError::from),
                Err(error) => Err(error),
            };
            let pause = match known {
                // Another replica publishes it, or it is due now.
                Ok(Some(Duration::ZERO)) => Some(SOON),
                Ok(known) => known,
                Err(error) => {
                    tracing::warn!(%error, "a checkpoint was not published; retrying in 5 s");
                    Some(PAUSE)
                }
            };
            wakeup.sleep(pause).await;
        }
    }

    async fn publish_due(
        &self,
        store: &Store,
        publisher: &dyn Publisher,
    ) -> Result<(), CheckpointError> {
        loop {
            publisher.ready().await?;
            let Some(taken) = taking::take(store, &self.listing.pace).await? else {
                return Ok(());
            };
            let (publishing, limit) = (
                self.publish(store, publisher, &taken),
                self.listing.pace.confirm,
            );
            let published = tokio::time::timeout(limit, publishing).await;
            if let Err(error) = published.unwrap_or(Err(CheckpointError::Unconfirmed(limit))) {
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
        let listed = taking::listed(store.relay(), taken).await?;
        let mut confirms = Vec::with_capacity(self.exchanges.len());
        for exchange in &self.exchanges {
            let of_exchange = listed.iter().filter(|event| event.exchange == *exchange);
            let checkpoint = self.listing.checkpoint(taken, exchange, of_exchange);
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

    /// The id differs by exchange, because a queue may be bound to several exchanges of one producer.
    fn message(&self, taken: &Taken, checkpoint: &Checkpoint) -> Message {
        let id = Uuid::new_v5(&taken.id, checkpoint.exchange.as_bytes());
        let envelope = Envelope {
            id,
            event_type: CHECKPOINT_TYPE.to_owned(),
            source: self.listing.source.clone(),
            time_ms: taken.taken_ms,
            aggregate_id: self.listing.source.clone(),
            aggregate_version: Some(taken.number),
            correlation_id: id.to_string(),
            trace: TraceContext::default(),
        };
        let body = checkpoint.encode_to_vec().into();
        envelope.to_message(&checkpoint.exchange, CHECKPOINT_KEY, body)
    }
}
