//! The progress of a consumer in each ordered aggregate: the statements on `angarium_position`.
//!
//! Guarantee: a position is locked until its transaction ends, so one aggregate's events are handled one at a time
//! across all replicas. Positions are locked in a fixed order, so transactions do not deadlock.

use std::collections::HashMap;

use sea_orm::DbErr;
use serde_json::{Map, json};
use store::sql;

use super::SIGNAL;
use crate::transaction::Transaction;

pub(crate) type Aggregate = (String, String);

/// A missing row cannot be locked, so it is inserted first. Concurrent inserts wait here.
const MAKE: &str = "
INSERT INTO angarium_position (consumer, aggregate_type, aggregate_id, version)
SELECT $1, list.aggregate_type, list.aggregate_id, 0 FROM {list $2: aggregate_type text, aggregate_id text}
WHERE true ORDER BY list.aggregate_type, list.aggregate_id
ON CONFLICT (consumer, aggregate_type, aggregate_id) DO NOTHING";

pub(super) const LOCK: &str = "
SELECT aggregate_type, aggregate_id, version FROM angarium_position
WHERE consumer = $1 AND (aggregate_type, aggregate_id) IN {pairs $2}
ORDER BY aggregate_type, aggregate_id {for update}";

const MOVE: &str = "
UPDATE angarium_position SET version = list.version
FROM {list $2: aggregate_type text, aggregate_id text, version bigint}
WHERE consumer = $1 AND angarium_position.aggregate_type = list.aggregate_type
  AND angarium_position.aggregate_id = list.aggregate_id AND angarium_position.version < list.version";

// `state <> 'done'` is literal: SQLite uses a partial index only if the query contains its condition. Otherwise each
// event would read the consumer's whole inbox.
//
// `ahead` is more than one after a batch, so that a backlog is handled in batches. An event behind a gap waits again.
pub(super) const RELEASE: &str = "
UPDATE angarium_inbox SET state = CASE state WHEN 'waiting' THEN 'deferred' ELSE state END, due_at = {time}
FROM {list $2: aggregate_type text, aggregate_id text, version bigint, ahead bigint}
WHERE consumer = $1 AND angarium_inbox.aggregate_type = list.aggregate_type
  AND angarium_inbox.aggregate_id = list.aggregate_id AND angarium_inbox.aggregate_version BETWEEN list.version + 1 AND list.version + list.ahead
  AND state <> 'done' AND (state = 'waiting' OR state = 'discarded' AND settled_at IS NULL)";

/// Returns the last handled version of each aggregate that has one.
pub(crate) async fn lock(
    transaction: &Transaction,
    consumer: &str,
    aggregates: impl IntoIterator<Item = Aggregate>,
) -> Result<HashMap<Aggregate, i64>, DbErr> {
    let aggregates: Vec<Aggregate> = aggregates.into_iter().collect();
    if aggregates.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = aggregates.iter().map(|aggregate| row(aggregate, None));
    sql::execute(transaction, MAKE, [consumer.into(), sql::list(rows)]).await?;
    let locking = [consumer.into(), sql::pairs(aggregates)];
    let mut positions = HashMap::new();
    for row in sql::query_all(transaction, LOCK, locking).await? {
        let version: i64 = row.try_get("", "version")?;
        let aggregate = (
            row.try_get("", "aggregate_type")?,
            row.try_get("", "aggregate_id")?,
        );
        if version > 0 {
            positions.insert(aggregate, version);
        }
    }
    Ok(positions)
}

const MOST_AHEAD: i64 = 50;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moved {
    pub(crate) version: i64,
    pub(crate) events: i64,
}

impl Moved {
    /// Twice as many as succeeded together, so that a failure wastes few releases.
    fn ahead(self) -> i64 {
        (2 * self.events).min(MOST_AHEAD)
    }
}

/// Moves positions locked by [`lock`], and makes the events due that wait for them. No position moves back: an event
/// that an operator has handled after its turn leaves it unchanged.
pub(crate) async fn advance<'a>(
    transaction: &Transaction,
    consumer: &str,
    moved: impl IntoIterator<Item = (&'a Aggregate, &'a Moved)>,
) -> Result<(), DbErr> {
    let rows: Vec<_> = moved
        .into_iter()
        .map(|(aggregate, moved)| row(aggregate, Some(*moved)))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let values = || [consumer.into(), sql::list(rows.clone())];
    let released = if sql::is_sqlite(transaction) {
        sql::execute(transaction, MOVE, values()).await?;
        sql::execute(transaction, RELEASE, values()).await?
    } else {
        let both = format!("WITH moved AS ({MOVE}) {RELEASE}");
        sql::execute(transaction, &both, values()).await?
    };
    if released > 0 {
        transaction.wake_on_commit(SIGNAL);
    }
    Ok(())
}

fn row((kind, id): &Aggregate, moved: Option<Moved>) -> Map<String, serde_json::Value> {
    let mut row = Map::new();
    row.insert("aggregate_type".to_owned(), json!(kind));
    row.insert("aggregate_id".to_owned(), json!(id));
    if let Some(moved) = moved {
        row.insert("version".to_owned(), json!(moved.version));
        row.insert("ahead".to_owned(), json!(moved.ahead()));
    }
    row
}
