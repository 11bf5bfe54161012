//! What a consumer lacks: missing events, missing checkpoints, and aggregates with events behind a missing version.

use sea_orm::{DbErr, QueryResult};
use store::sql;
use uuid::Uuid;

use super::handing::Repair;

/// A listed event that the inbox does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingEvent {
    /// Its id.
    pub event_id: String,
    /// Its producer.
    pub source: String,
    /// The protobuf full name.
    pub event_type: String,
    /// The checkpoint that lists it.
    pub checkpoint: i64,
    /// Since when, in Unix milliseconds. `None`: it may still arrive.
    pub missing_since_ms: Option<i64>,
}

/// Numbers of missing checkpoints before one that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointGap {
    /// The producer.
    pub source: String,
    /// The exchange.
    pub exchange: String,
    /// The first number.
    pub first: i64,
    /// The last number.
    pub last: i64,
    /// When it was noticed, in Unix milliseconds.
    pub seen_at_ms: i64,
}

/// An aggregate with events behind a missing one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionGap {
    /// As its events name it, such as `user`.
    pub aggregate_type: String,
    /// Its id.
    pub aggregate_id: String,
    /// The producer.
    pub source: Option<String>,
    /// The last handled version; 0 if none.
    pub position: i64,
    /// The first version that waits.
    pub waits: i64,
    /// How many wait.
    pub events: i64,
    /// Since when, in Unix milliseconds.
    pub since_ms: i64,
}

const MISSING: &str = "
SELECT {text event_id} AS event_id, source, event_type, number, {ms missing_since} AS missing_since_ms FROM angarium_missing
WHERE consumer = $1 AND event_id > {uuid $2} ORDER BY event_id LIMIT $3";

const GAPS: &str = "
SELECT source, exchange, first_number, last_number, {ms seen_at} AS seen_at_ms FROM angarium_checkpoint_gap
WHERE consumer = $1 ORDER BY source, exchange, first_number LIMIT $2";

// Another held state is no gap: the event has arrived.
pub(super) const WAITING: &str = "
SELECT held.aggregate_type, held.aggregate_id, held.source, held.waits, held.events, held.since_ms,
       coalesce(position.version, 0) AS version
FROM (SELECT aggregate_type, aggregate_id, min(source) AS source, min(aggregate_version) AS waits, count(*) AS events,
             {ms min(received_at)} AS since_ms,
             min(CASE WHEN state = 'waiting' AND unknown_until IS NULL THEN 1 ELSE 0 END) AS all_wait
      FROM angarium_inbox
      WHERE consumer = $1 AND state <> 'done' AND aggregate_version IS NOT NULL
        AND (state IN ('waiting', 'deferred', 'dead') OR state = 'discarded' AND settled_at IS NULL)
        AND (aggregate_type, aggregate_id) > ($2, $3)
      GROUP BY aggregate_type, aggregate_id) AS held
LEFT JOIN angarium_position AS position
       ON position.consumer = $1 AND position.aggregate_type = held.aggregate_type AND position.aggregate_id = held.aggregate_id
WHERE held.all_wait = 1 AND held.waits > coalesce(position.version, 0) + 1
ORDER BY held.aggregate_type, held.aggregate_id LIMIT $4";

impl Repair {
    /// At most `limit` missing events after the id `after`, and those that may still arrive.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn missing(
        &self,
        after: Option<Uuid>,
        limit: u16,
    ) -> Result<Vec<MissingEvent>, DbErr> {
        let after = after.unwrap_or_default().to_string();
        let values = [
            self.consumer().into(),
            after.into(),
            i64::from(limit).into(),
        ];
        let rows = sql::query_all(self.store().connection(), MISSING, values).await?;
        rows.iter().map(missing).collect()
    }

    /// At most `limit` gaps.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn checkpoint_gaps(&self, limit: u16) -> Result<Vec<CheckpointGap>, DbErr> {
        let values = [self.consumer().into(), i64::from(limit).into()];
        let rows = sql::query_all(self.store().connection(), GAPS, values).await?;
        rows.iter().map(checkpoint_gap).collect()
    }

    /// At most `limit` aggregates after `after`.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn version_gaps(
        &self,
        after: Option<&VersionGap>,
        limit: u16,
    ) -> Result<Vec<VersionGap>, DbErr> {
        let (kind, id) = after.map_or(("", ""), |gap| {
            (gap.aggregate_type.as_str(), gap.aggregate_id.as_str())
        });
        let values = [
            self.consumer().into(),
            kind.into(),
            id.into(),
            i64::from(limit).into(),
        ];
        let rows = sql::query_all(self.store().connection(), WAITING, values).await?;
        rows.iter().map(version_gap).collect()
    }
}

fn missing(row: &QueryResult) -> Result<MissingEvent, DbErr> {
    Ok(MissingEvent {
        event_id: row.try_get("", "event_id")?,
        source: row.try_get("", "source")?,
        event_type: row.try_get("", "event_type")?,
        checkpoint: row.try_get("", "number")?,
        missing_since_ms: row.try_get("", "missing_since_ms")?,
    })
}

fn checkpoint_gap(row: &QueryResult) -> Result<CheckpointGap, DbErr> {
    Ok(CheckpointGap {
        source: row.try_get("", "source")?,
        exchange: row.try_get("", "exchange")?,
        first: row.try_get("", "first_number")?,
        last: row.try_get("", "last_number")?,
        seen_at_ms: row.try_get("", "seen_at_ms")?,
    })
}

fn version_gap(row: &QueryResult) -> Result<VersionGap, DbErr> {
    Ok(VersionGap {
        aggregate_type: row.try_get("", "aggregate_type")?,
        aggregate_id: row.try_get("", "aggregate_id")?,
        source: row.try_get("", "source")?,
        position: row.try_get("", "version")?,
        waits: row.try_get("", "waits")?,
        events: row.try_get("", "events")?,
        since_ms: row.try_get("", "since_ms")?,
    })
}
