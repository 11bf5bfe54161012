//! The producer's statements: what the next checkpoint lists, and whether the broker has confirmed it.
//!
//! Guarantee: the numbers are dense, and each event of the history is listed, also with several replicas. A checkpoint
//! is taken under the lock of the relay's lease, so no event enters the history below its last position later. The next
//! one is taken only after the previous one is confirmed.

use sea_orm::{DbErr, QueryResult};
use store::{Database, sql};
use uuid::Uuid;

use super::CheckpointPace;
use crate::retry::millis;
use crate::store::Store;

/// How long a replica may take to publish a checkpoint.
const CLAIM_MS: i64 = 30_000;

#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) number: i64,
    pub(super) id: Uuid,
    pub(super) stamp: i64,
    pub(super) taken_ms: i64,
    after: i64,
    last: i64,
}

pub(super) struct Listed {
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) event_type: String,
    pub(super) id: Uuid,
    pub(super) published_ms: i64,
}

const LAST: &str = "
SELECT number, last_position, stamp, taken_at, claimed_until, confirmed_at FROM angarium_checkpoint ORDER BY number DESC LIMIT 1";

/// It reads only the ends of indexes.
fn due_ms(pace: &CheckpointPace) -> String {
    format!(
        "CASE WHEN last.confirmed_at IS NULL AND last.claimed_until > {{time + {}}} THEN 0
              WHEN last.confirmed_at IS NULL THEN {{ms last.claimed_until}} - {{now}}
              WHEN last.taken_at > {{time}} THEN 0
              WHEN newest.position - last.last_position >= {} THEN 0
              WHEN newest.position > last.last_position THEN {{ms last.taken_at}} + {} - {{now}}
              ELSE {{ms last.taken_at}} + {} - {{now}} END",
        2 * CLAIM_MS,
        pace.most,
        millis(pace.busy),
        millis(pace.idle)
    )
}

fn last_and_newest() -> String {
    format!(
        "FROM ({LAST}) AS last, (SELECT max(position) AS position FROM angarium_outbox_history) AS newest"
    )
}

pub(super) fn due_in_ms(pace: &CheckpointPace) -> String {
    format!("SELECT {} {}", due_ms(pace), last_and_newest())
}

const LOCK: &str =
    "/* checkpoint */ SELECT holder FROM angarium_relay_lease WHERE name = 'relay' {for update}";

/// From a replica that has not published it in time.
pub(super) fn claiming() -> String {
    format!(
        "/* checkpoint */ UPDATE angarium_checkpoint SET claimed_until = {{time + {CLAIM_MS}}}
         WHERE confirmed_at IS NULL AND (claimed_until <= {{time}} OR claimed_until > {{time + {}}})
         RETURNING {COLUMNS}",
        2 * CLAIM_MS
    )
}

const COLUMNS: &str = "number, {text checkpoint_id} AS checkpoint_id, after_position, last_position, stamp, {ms taken_at} AS taken_ms";

pub(super) fn taking(pace: &CheckpointPace) -> String {
    format!(
        "/* checkpoint */ INSERT INTO angarium_checkpoint
             (number, checkpoint_id, after_position, last_position, stamp, taken_at, claimed_until)
         SELECT last.number + 1, {{uuid $1}}, last.last_position,
                coalesce((SELECT max(position) FROM (
                    SELECT position FROM angarium_outbox_history WHERE position > last.last_position
                    ORDER BY position LIMIT {}) AS next), last.last_position),
                CASE WHEN {{now}} > last.stamp THEN {{now}} ELSE last.stamp + 1 END, {{time}}, {{time + {CLAIM_MS}}}
         {} WHERE last.confirmed_at IS NOT NULL AND {} <= 0
         RETURNING {COLUMNS}",
        pace.most,
        last_and_newest(),
        due_ms(pace)
    )
}

pub(super) async fn take(store: &Store, pace: &CheckpointPace) -> Result<Option<Taken>, DbErr> {
    let _turn = store.turn_to_write().await?;
    let transaction = store::Transaction::begin(store.relay()).await?;
    // A separate statement, so that the next one sees the commit that this one waits for.
    sql::query_one(&transaction, LOCK, []).await?;
    let mut row = sql::query_one(&transaction, &claiming(), []).await?;
    if row.is_none() {
        let id = Uuid::now_v7().to_string();
        row = sql::query_one(&transaction, &taking(pace), [id.into()]).await?;
    }
    let taken = row.as_ref().map(taken).transpose()?;
    transaction.commit().await?;
    Ok(taken)
}

fn taken(row: &QueryResult) -> Result<Taken, DbErr> {
    Ok(Taken {
        number: row.try_get("", "number")?,
        id: uuid(row, "checkpoint_id")?,
        stamp: row.try_get("", "stamp")?,
        taken_ms: row.try_get("", "taken_ms")?,
        after: row.try_get("", "after_position")?,
        last: row.try_get("", "last_position")?,
    })
}

fn uuid(row: &QueryResult, column: &str) -> Result<Uuid, DbErr> {
    let id: String = row.try_get("", column)?;
    Uuid::parse_str(&id).map_err(|error| DbErr::Type(error.to_string()))
}

pub(super) const LISTED: &str = "/* checkpoint */
SELECT exchange, routing_key, event_type, {text event_id} AS event_id, {ms published_at} AS published_ms
FROM angarium_outbox_history WHERE position > $1 AND position <= $2 ORDER BY position";

/// An event that was put back into the outbox is in a later checkpoint.
pub(super) async fn listed(db: &Database, taken: &Taken) -> Result<Vec<Listed>, DbErr> {
    let range = [taken.after.into(), taken.last.into()];
    let rows = sql::query_all(db, LISTED, range).await?;
    let listed = rows.iter().map(|row| {
        Ok(Listed {
            exchange: row.try_get("", "exchange")?,
            routing_key: row.try_get("", "routing_key")?,
            event_type: row.try_get("", "event_type")?,
            id: uuid(row, "event_id")?,
            published_ms: row.try_get("", "published_ms")?,
        })
    });
    listed.collect()
}

pub(super) async fn confirmed_ones(
    store: &Store,
    first: i64,
    last: i64,
) -> Result<Vec<Taken>, DbErr> {
    let reading = format!(
        "SELECT {COLUMNS} FROM angarium_checkpoint
         WHERE number BETWEEN $1 AND $2 AND number > 0 AND confirmed_at IS NOT NULL ORDER BY number"
    );
    let range = [first.into(), last.into()];
    let rows = sql::query_all(store.connection(), &reading, range).await?;
    rows.iter().map(taken).collect()
}

pub(super) async fn confirmed(store: &Store, number: i64) -> Result<(), DbErr> {
    let confirming = "/* checkpoint */ UPDATE angarium_checkpoint SET confirmed_at = {time}, claimed_until = NULL
                      WHERE number = $1 AND confirmed_at IS NULL";
    let _turn = store.turn_to_write().await?;
    sql::execute(store.relay(), confirming, [number.into()]).await?;
    Ok(())
}

pub(super) async fn postpone(store: &Store, number: i64, delay_ms: i64) -> Result<(), DbErr> {
    let postponing = "/* checkpoint */ UPDATE angarium_checkpoint SET claimed_until = {time + $2}
                      WHERE number = $1 AND confirmed_at IS NULL";
    let _turn = store.turn_to_write().await?;
    let values = [number.into(), delay_ms.into()];
    sql::execute(store.relay(), postponing, values).await?;
    Ok(())
}
