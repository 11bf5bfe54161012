//! The producer's side: the published messages that it still keeps, and the checkpoints that list them.
//!
//! Guarantee: each query uses an index: by checkpoint, by aggregate, or from a position on.

use std::time::Duration;

use bytes::Bytes;
use event::{Checkpoint, Envelope, Message, TraceContext};
use sea_orm::{DbErr, QueryResult, Value};
use store::sql;
use uuid::Uuid;

use crate::checkpoint::{CheckpointPace, Listing};
use crate::store::Store;

/// The history of one producer.
#[derive(Clone)]
pub struct History {
    store: Store,
    listing: Listing,
}

/// An event of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the history.
    pub position: i64,
    /// Whether its personal data and its body were erased.
    pub erased: bool,
    /// What was published.
    pub message: Message,
}

/// A part of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The events of this checkpoint.
    Checkpoint(i64),
    /// The events of this aggregate, from a version on.
    Aggregate {
        /// As its events name it, such as `user`.
        aggregate_type: String,
        /// Its id.
        aggregate_id: String,
        /// The first version.
        from: i64,
    },
    /// Published at this time or later, in Unix milliseconds.
    Since(i64),
}

/// Some events in the order of the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The events.
    pub events: Vec<Stored>,
    /// The position before the next page. `None`: there is none.
    pub next: Option<i64>,
}

const COLUMNS: &str = "position, {text event_id} AS event_id, exchange, routing_key, event_type, aggregate_id, aggregate_version, payload,
       correlation_id, traceparent, tracestate, baggage, {ms created_at} AS created_ms, {ms published_at} AS published_ms,
       erased_at IS NOT NULL AS is_erased";

// Both are in the order of their times, so the last checkpoint before a time gives a position before it.
const BEGINNING: &str = "
SELECT coalesce(max(last_position), 0) AS position FROM angarium_checkpoint WHERE taken_at < {time of $1}";

impl History {
    /// `store` is that of the service `source`; it keeps events for `retention`.
    pub fn new(store: Store, source: &str, retention: Duration) -> Self {
        let listing = Listing {
            source: source.to_owned(),
            pace: CheckpointPace::default(),
            retention,
        };
        Self { store, listing }
    }

    /// At most `limit` events after the position `after`; 0 for the first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn page(&self, selection: &Selection, after: i64, limit: u16) -> Result<Page, DbErr> {
        let (condition, mut values) = match selection {
            Selection::Checkpoint(number) => (
                "position <= (SELECT last_position FROM angarium_checkpoint WHERE number = $3)
                 AND position > (SELECT after_position FROM angarium_checkpoint WHERE number = $3)",
                vec![Value::from(*number)],
            ),
            Selection::Aggregate {
                aggregate_type,
                aggregate_id,
                from,
            } => (
                "aggregate_type = $3 AND aggregate_id = $4 AND aggregate_version >= $5",
                vec![
                    aggregate_type.as_str().into(),
                    aggregate_id.as_str().into(),
                    (*from).into(),
                ],
            ),
            Selection::Since(from_ms) => ("published_at >= {time of $3}", vec![(*from_ms).into()]),
        };
        let mut after = after;
        if let Selection::Since(from_ms) = selection {
            after = after.max(self.beginning(*from_ms).await?);
        }
        let limit = usize::from(limit.max(1));
        values.splice(
            0..0,
            [
                after.into(),
                i64::try_from(limit + 1).unwrap_or(i64::MAX).into(),
            ],
        );
        let sql = format!(
            "SELECT {COLUMNS} FROM angarium_outbox_history WHERE position > $1 AND {condition} ORDER BY position LIMIT $2"
        );
        let rows = sql::query_all(self.store.connection(), &sql, values).await?;
        let events = rows.iter().take(limit).map(|row| self.stored(row));
        let events: Vec<Stored> = events.collect::<Result<_, _>>()?;
        let last = events.last().map(|event| event.position);
        let next = last.filter(|_| rows.len() > limit);
        Ok(Page { events, next })
    }

    async fn beginning(&self, from_ms: i64) -> Result<i64, DbErr> {
        let row = sql::query_one(self.store.connection(), BEGINNING, [from_ms.into()]).await?;
        row.map_or(Ok(0), |row| row.try_get("", "position"))
    }

    /// The checkpoints from `first` to `last` that were published to `exchange` and are still kept.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn checkpoints(
        &self,
        exchange: &str,
        first: i64,
        last: i64,
    ) -> Result<Vec<Checkpoint>, DbErr> {
        self.listing.read(&self.store, exchange, first, last).await
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn retention(&self) -> Duration {
        self.listing.retention
    }

    fn stored(&self, row: &QueryResult) -> Result<Stored, DbErr> {
        let id: String = row.try_get("", "event_id")?;
        let envelope = Envelope {
            id: Uuid::parse_str(&id).map_err(|error| DbErr::Type(error.to_string()))?,
            event_type: row.try_get("", "event_type")?,
            source: self.listing.source.clone(),
            time_ms: row.try_get("", "created_ms")?,
            aggregate_id: row.try_get("", "aggregate_id")?,
            aggregate_version: Some(row.try_get("", "aggregate_version")?),
            correlation_id: row.try_get("", "correlation_id")?,
            trace: TraceContext {
                traceparent: row.try_get("", "traceparent")?,
                tracestate: row.try_get("", "tracestate")?,
                baggage: row.try_get("", "baggage")?,
            },
        };
        let exchange: String = row.try_get("", "exchange")?;
        let routing_key: String = row.try_get("", "routing_key")?;
        let payload = Bytes::from(row.try_get::<Vec<u8>>("", "payload")?);
        let mut message = envelope.to_message(&exchange, &routing_key, payload);
        message.set_published_ms(row.try_get("", "published_ms")?);
        Ok(Stored {
            position: row.try_get("", "position")?,
            erased: row.try_get("", "is_erased")?,
            message,
        })
    }
}
