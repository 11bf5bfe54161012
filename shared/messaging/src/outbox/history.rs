//! Moves published events to the history, so that the outbox contains only pending ones.
//!
//! Guarantee: positions are in the order of the commits, because each moving transaction first locks the row of the
//! relay's lease. An event leaves the outbox and enters the history in one transaction.

use sea_orm::{DbErr, QueryResult};
use store::sql;

use crate::store::Store;

const COLUMNS: &str = "sequence, event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type, aggregate_id,
    aggregate_version, person_id, correlation_id, causation_id, traceparent, tracestate, baggage, created_at, attempts";

/// Returns the ids of events that the history refused, because it has another event with the version. They leave the
/// outbox anyway; otherwise they would be published forever.
pub(crate) async fn move_published(
    store: &Store,
    sequences: Vec<i64>,
) -> Result<Vec<String>, DbErr> {
    let _turn = store.turn_to_write().await?;
    let (db, list) = (store.relay(), [sql::numbers(sequences)]);
    let id = |row: &QueryResult| row.try_get("", "event_id");
    if !sql::is_sqlite(db) {
        let refused = sql::query_all(db, &moving(), list).await?;
        return refused.iter().map(id).collect();
    }
    let transaction = store::Transaction::begin(db).await?;
    sql::execute(&transaction, &copying(), list.clone()).await?;
    let refused = sql::query_all(&transaction, REFUSED, list.clone()).await?;
    sql::execute(&transaction, DELETE, list).await?;
    transaction.commit().await?;
    refused.iter().map(id).collect()
}

/// The lock comes first: the deletion depends on it, and the positions are given to the deleted rows.
pub(super) fn moving() -> String {
    format!(
        "WITH lease AS MATERIALIZED (
             SELECT holder FROM angarium_relay_lease WHERE name = 'relay' {{for update}}),
         moved AS (
             DELETE FROM angarium_outbox WHERE sequence {{in numbers $1}} AND EXISTS (SELECT 1 FROM lease)
             RETURNING {COLUMNS}, {PAYLOAD}),
         kept AS (
             INSERT INTO angarium_outbox_history ({COLUMNS}, payload, erased_at, published_at)
             SELECT {COLUMNS}, payload, erased_at, {{time}} FROM moved ORDER BY sequence
             ON CONFLICT DO NOTHING RETURNING sequence)
         SELECT {{text event_id}} AS event_id FROM moved WHERE sequence NOT IN (SELECT sequence FROM kept)"
    )
}

/// SQLite has one writer, so it needs no lock.
pub(super) fn copying() -> String {
    format!(
        "INSERT INTO angarium_outbox_history ({COLUMNS}, payload, erased_at, published_at)
         SELECT {COLUMNS}, {PAYLOAD}, {{time}} FROM angarium_outbox WHERE sequence {{in numbers $1}} ORDER BY sequence
         ON CONFLICT DO NOTHING"
    )
}

const REFUSED: &str = "
SELECT event_id FROM angarium_outbox AS moved
WHERE sequence {in numbers $1} AND NOT EXISTS (
    SELECT 1 FROM angarium_outbox_history AS kept
    WHERE kept.aggregate_type = moved.aggregate_type AND kept.aggregate_id = moved.aggregate_id
      AND kept.aggregate_version = moved.aggregate_version AND kept.event_id = moved.event_id)";

/// A payload to erase does not reach the history.
const PAYLOAD: &str = "CASE WHEN to_erase THEN substr(payload, 1, 0) ELSE payload END AS payload, CASE WHEN to_erase THEN {time} END AS erased_at";

const DELETE: &str = "DELETE FROM angarium_outbox WHERE sequence {in numbers $1}";

/// Publishes all events again that were created at `from_ms` (Unix milliseconds) or later, for an operator who has lost
/// a queue. They keep their ids, versions and sequences, so they precede later ones of their aggregates; consumers that
/// have seen them ignore them. Returns how many.
///
/// # Errors
/// If the database refuses, is unavailable, or exceeds a statement's time limit: nothing has changed.
pub async fn publish_again(store: &Store, from_ms: i64) -> Result<u64, DbErr> {
    let transaction = store.begin().await?;
    // First, because the outbox accepts no version that the history has.
    let again = sql::execute(&transaction, SET_FREE, [from_ms.into()]).await?;
    let is_sqlite = sql::is_sqlite(&transaction);
    sql::execute(&transaction, &putting_back(is_sqlite), []).await?;
    sql::execute(&transaction, FORGET, []).await?;
    transaction.wake_on_commit(super::SIGNAL);
    transaction.commit().await?;
    Ok(again)
}

const SET_FREE: &str = "
UPDATE angarium_outbox_history SET aggregate_version = -aggregate_version
WHERE created_at >= {time of $1} AND erased_at IS NULL AND aggregate_version > 0";
const FORGET: &str = "DELETE FROM angarium_outbox_history WHERE aggregate_version < 0";

fn putting_back(is_sqlite: bool) -> String {
    let columns = COLUMNS.replace(", attempts", "");
    let values = columns.replace("aggregate_version", "-aggregate_version");
    let with_sequences = match is_sqlite {
        true => "",
        false => "OVERRIDING SYSTEM VALUE",
    };
    format!(
        "INSERT INTO angarium_outbox ({columns}, payload) {with_sequences}
         SELECT {values}, payload FROM angarium_outbox_history WHERE aggregate_version < 0 ORDER BY position"
    )
}
