//! Moves published events to the history, so that the outbox holds only what is still to be done.
//!
//! Guarantee: the positions of the history are in the order of the commits that wrote them, because each such transaction locks the row
//! of the relay's lease first. An event leaves the outbox and enters the history in one transaction.

use sea_orm::DbErr;
use store::sql;

use crate::store::Store;

const COLUMNS: &str = "sequence, event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type, aggregate_id,
    aggregate_version, person_id, correlation_id, causation_id, traceparent, tracestate, baggage, created_at, attempts";

/// What came of a move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Rows that left the outbox. Others had left it before.
    pub(crate) left: u64,
    /// Of those, the rows that the history refused, because it has another event with the same version of the aggregate.
    pub(crate) refused: u64,
}

/// Moves the rows with these sequences, which the broker has confirmed.
pub(crate) async fn move_published(store: &Store, sequences: Vec<i64>) -> Result<Moved, DbErr> {
    let _turn = store.turn_to_write().await?;
    let db = store.relay();
    if !sql::is_sqlite(db) {
        return move_in_one_statement(db, sequences).await;
    }
    let transaction = store::Transaction::begin(db).await?;
    let list = || [sql::numbers(sequences.iter().copied())];
    let kept = sql::execute(&transaction, &copying(), list()).await?;
    let left = sql::execute(&transaction, DELETE, list()).await?;
    transaction.commit().await?;
    Ok(Moved {
        left,
        refused: left - kept,
    })
}

async fn move_in_one_statement(db: &store::Database, sequences: Vec<i64>) -> Result<Moved, DbErr> {
    let row = sql::query_one(db, &moving(), [sql::numbers(sequences)]).await?;
    let Some(row) = row else {
        return Ok(Moved::default());
    };
    let count = |column| row.try_get::<i64>("", column).map(i64::unsigned_abs);
    let (left, kept) = (count("left_outbox")?, count("kept")?);
    Ok(Moved {
        left,
        refused: left.saturating_sub(kept),
    })
}

/// The lock comes first: the deletion depends on it, and the positions are given to what was deleted.
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
             ON CONFLICT DO NOTHING RETURNING 1)
         SELECT (SELECT count(*) FROM moved) AS left_outbox, (SELECT count(*) FROM kept) AS kept"
    )
}

/// SQLite's one writer needs no lock.
pub(super) fn copying() -> String {
    format!(
        "INSERT INTO angarium_outbox_history ({COLUMNS}, payload, erased_at, published_at)
         SELECT {COLUMNS}, {PAYLOAD}, {{time}} FROM angarium_outbox WHERE sequence {{in numbers $1}} ORDER BY sequence
         ON CONFLICT DO NOTHING"
    )
}

/// A payload that is to be erased does not reach the history.
const PAYLOAD: &str = "CASE WHEN to_erase THEN substr(payload, 1, 0) ELSE payload END AS payload, CASE WHEN to_erase THEN {time} END AS erased_at";

const DELETE: &str = "DELETE FROM angarium_outbox WHERE sequence {in numbers $1}";

/// Publishes again what was created at `from_ms` (Unix milliseconds) or later: the events go back to the outbox, with their ids and
/// versions, and consumers that have seen them take no notice. For an operator who has lost a queue. Returns how many.
///
/// # Errors
/// Where the database refuses or is away: then nothing has changed.
pub async fn publish_again(store: &Store, from_ms: i64) -> Result<u64, DbErr> {
    let transaction = store.begin().await?;
    // The history is rid of their versions first, because the outbox takes no version that the history has.
    let again = sql::execute(&transaction, SET_FREE, [from_ms.into()]).await?;
    sql::execute(&transaction, &putting_back(), []).await?;
    sql::execute(&transaction, FORGET, []).await?;
    transaction.wake_on_commit(super::SIGNAL);
    transaction.commit().await?;
    Ok(again)
}

const SET_FREE: &str = "
UPDATE angarium_outbox_history SET aggregate_version = -aggregate_version
WHERE created_at >= {time of $1} AND erased_at IS NULL AND aggregate_version > 0";
const FORGET: &str = "DELETE FROM angarium_outbox_history WHERE aggregate_version < 0";

fn putting_back() -> String {
    let columns = COLUMNS.replace("sequence, ", "").replace(", attempts", "");
    let values = columns.replace("aggregate_version", "-aggregate_version");
    format!(
        "INSERT INTO angarium_outbox ({columns}, payload)
         SELECT {values}, payload FROM angarium_outbox_history WHERE aggregate_version < 0 ORDER BY position"
    )
}
