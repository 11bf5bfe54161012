//! Held events that are due: leased, and then settled or held again.
//!
//! Guarantee: the start of an attempt is recorded before the attempt. An attempt that kills its process leaves that
//! record, so such an event is detected, and finally becomes a dead letter.

use std::time::Duration;

use event::Message;
use sea_orm::{DbErr, QueryResult, Value};
use serde_json::json;

use super::{Held, fingerprint};
use crate::bounds::{Bound, TimeForm};
use crate::retry::millis;
use crate::store::Store;
use crate::stored;
use crate::transaction::Transaction;
use store::sql;

/// A due event, leased by one worker.
#[derive(Clone)]
pub(crate) struct Due {
    pub(crate) consumer: String,
    pub(crate) event_id: String,
    /// When the lease ends, by the database's clock. In the row it identifies the holder.
    lease_ends_ms: i64,
    /// When it was leased, by the database's clock.
    pub(crate) now_ms: i64,
    /// The number of failures.
    pub(crate) attempts: u32,
    /// How many attempts before this one never ended.
    pub(crate) never_ended: u32,
    /// Why it is held, or has failed.
    pub(crate) cause: Option<String>,
    /// How long it has been failing, in milliseconds.
    pub(crate) failing_for_ms: i64,
    /// How long ago it arrived, in milliseconds.
    pub(crate) here_for_ms: i64,
    /// An operator wants it handled, even after its turn.
    pub(crate) replayed: bool,
    /// It was handed over, because it had not arrived: it is handled also where its turn is over.
    pub(crate) repaired: bool,
    /// An operator wants it passed over.
    pub(crate) discarded: bool,
    /// How long it still waits for a process that knows its type, in milliseconds; `None` if it does not.
    pub(crate) unknown_left_ms: Option<i64>,
    pub(crate) message: Message,
}

// `begun > 0` is repeated literally everywhere: SQLite uses a partial index only if the query contains its condition.
pub(super) const SUSPECT: &str = "SELECT 1 AS one FROM angarium_inbox WHERE consumer = $1 AND due_at <= {time} AND begun > 0 LIMIT 1";

/// A query for the time until something is due. Events that wait for a known type are due now.
pub(crate) fn due_in_ms(consumer: &str, known: &[&str]) -> String {
    let adoptable = adoptable(consumer, known);
    format!(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM angarium_inbox {adoptable}) THEN 0
                     ELSE (SELECT {{ms min(due_at)}} - {{now}} FROM angarium_inbox
                           WHERE consumer = {} AND due_at IS NOT NULL) END",
        sql::text(consumer)
    )
}

/// Few enough for one statement.
const ADOPTED: u32 = 1000;

/// Makes a batch of events due that wait for a process with one of these types. Returns how many.
pub(crate) async fn adopt(store: &Store, consumer: &str, known: &[&str]) -> Result<u64, DbErr> {
    let _turn = store.turn_to_write().await?;
    let adoptable = adoptable(consumer, known);
    // The due time changes too, which ends the lease of another worker.
    let adopt =
        format!("UPDATE angarium_inbox SET due_at = {{time}}, unknown_until = NULL
         WHERE (consumer, event_id) IN (
             SELECT consumer, event_id FROM angarium_inbox {adoptable} LIMIT {ADOPTED} {{skip locked}})");
    sql::execute(store.connection(), &adopt, []).await
}

pub(super) fn adoptable(consumer: &str, known: &[&str]) -> String {
    let types: Vec<String> = known.iter().map(|name| sql::text(name)).collect();
    format!(
        "WHERE consumer = {} AND unknown_until IS NOT NULL AND event_type IN ({}) AND state IN ('waiting', 'deferred')",
        sql::text(consumer),
        types.join(", ")
    )
}

/// Whether an event is due with an attempt that never ended.
pub(crate) async fn has_suspect(store: &Store, consumer: &str) -> Result<bool, DbErr> {
    let suspect = sql::query_one(store.connection(), SUSPECT, [consumer.into()]).await?;
    Ok(suspect.is_some())
}

/// The furthest time ahead of these rows: the end of a lease, the next attempt, or the end of a wait.
pub(crate) fn bound(consumer: &str, longest: Duration, lease: Duration) -> Bound {
    bound_of("due_at", consumer, longest, lease)
}

/// The furthest end of a wait for a process that knows the type.
pub(crate) fn bound_of_unknown(consumer: &str, longest: Duration) -> Bound {
    bound_of("unknown_until", consumer, longest, longest)
}

fn bound_of(column: &'static str, consumer: &str, longest: Duration, instead: Duration) -> Bound {
    Bound {
        table: "angarium_inbox",
        key: "consumer, event_id",
        column,
        form: TimeForm::Native,
        rows: format!(
            "consumer = {} AND {column} IS NOT NULL",
            sql::text(consumer)
        ),
        longest,
        instead,
    }
}

pub(super) fn taking_up(suspects: bool) -> String {
    let begun = if suspects { "begun > 0" } else { "begun = 0" };
    format!(
        "WITH taken AS MATERIALIZED (
             SELECT consumer, event_id FROM angarium_inbox
             WHERE consumer = $1 AND due_at <= {{time}} AND {begun}
             ORDER BY due_at LIMIT $2 {{skip locked}})
         UPDATE angarium_inbox
         SET begun = begun + 1, due_at = {{time + $3}},
             received_at = CASE WHEN received_at > {{time}} THEN {{time}} ELSE received_at END,
             first_failed_at = CASE WHEN first_failed_at > {{time}} THEN {{time}} ELSE first_failed_at END
         WHERE (consumer, event_id) IN (SELECT consumer, event_id FROM taken)
         RETURNING consumer, {{text event_id}} AS event_id, state, {{ms due_at}} AS lease_ends_ms, attempts, begun, cause,
                   replayed_at IS NOT NULL AS is_replayed, repaired_at IS NOT NULL AS is_repaired, exchange, routing_key, properties, body,
                   coalesce({{now}} - {{ms first_failed_at}}, 0) AS failing_for_ms,
                   {{now}} - {{ms received_at}} AS here_for_ms, {{now}} AS now_ms,
                   {{ms unknown_until}} - {{now}} AS unknown_left_ms"
    )
}

/// Leases at most `limit` of the events that have been due longest: of the `suspects`, or of all others. A worker that
/// dies delays its events only by `lease`. Skips events that another replica is leasing.
pub(crate) async fn take_up(
    store: &Store,
    consumer: &str,
    suspects: bool,
    limit: usize,
    lease: Duration,
) -> Result<Vec<Due>, DbErr> {
    let _turn = store.turn_to_write().await?;
    let rows = sql::query_all(
        store.connection(),
        &taking_up(suspects),
        [
            consumer.into(),
            i64::try_from(limit).unwrap_or(i64::MAX).into(),
            millis(lease).into(),
        ],
    )
    .await?;
    rows.iter().map(due).collect()
}

/// Renews the lease after the database was unavailable. `None` if another worker has the event.
pub(crate) async fn keep(
    store: &Store,
    mut due: Due,
    lease: Duration,
) -> Result<Option<Due>, DbErr> {
    let _turn = store.turn_to_write().await?;
    let sql = format!(
        "UPDATE angarium_inbox SET due_at = {{time + $4}} {OURS} RETURNING {{ms due_at}} AS lease_ends_ms, {{now}} AS now_ms"
    );
    let values = ours(&due).into_iter().chain([millis(lease).into()]);
    let Some(row) = sql::query_one(store.connection(), &sql, values).await? else {
        return Ok(None);
    };
    due.lease_ends_ms = row.try_get("", "lease_ends_ms")?;
    due.now_ms = row.try_get("", "now_ms")?;
    Ok(Some(due))
}

/// Marks them as done and deletes their messages. From here on the rows are locked. `false` if another worker has one
/// of them: then the caller must roll back.
pub(crate) async fn settle_all(transaction: &Transaction, all: &[&Due]) -> Result<bool, DbErr> {
    let Some(first) = all.first() else {
        return Ok(true);
    };
    let rows = all.iter().map(|due| {
        let columns = [
            ("event_id", json!(due.event_id)),
            ("lease_ends_ms", json!(due.lease_ends_ms)),
        ];
        let columns = columns.map(|(name, value)| (name.to_owned(), value));
        columns.into_iter().collect()
    });
    let values = [first.consumer.as_str().into(), sql::list(rows)];
    let settled = sql::execute(transaction, SETTLE_ALL, values).await?;
    Ok(usize::try_from(settled).ok() == Some(all.len()))
}

/// It is handled after later versions of its aggregate.
pub(crate) async fn mark_late(transaction: &Transaction, due: &Due) -> Result<(), DbErr> {
    let marking =
        "UPDATE angarium_inbox SET late = true WHERE consumer = $1 AND event_id = {uuid $2}";
    let values = [due.consumer.as_str().into(), due.event_id.as_str().into()];
    sql::execute(transaction, marking, values).await?;
    Ok(())
}

/// It waits for an earlier event.
pub(crate) async fn park(transaction: &Transaction, due: &Due, held: Held) -> Result<bool, DbErr> {
    let parked =
        "UPDATE angarium_inbox SET state = $4, begun = 0, due_at = NULL, unknown_until = NULL,
                                   settled_at = CASE WHEN $4 = 'skipped' THEN {time} END";
    change(transaction, due, parked, [held.as_str().into()]).await
}

/// It waits for a process that knows its type, at most for `left`.
pub(crate) async fn await_type(
    transaction: &Transaction,
    due: &Due,
    left: Duration,
) -> Result<bool, DbErr> {
    let waits = "UPDATE angarium_inbox SET state = 'waiting', begun = 0, due_at = {time + $4},
                                   unknown_until = coalesce(unknown_until, {time + $4})";
    change(transaction, due, waits, [millis(left).into()]).await
}

/// It stays unchanged, and is checked again in `due_in_ms`, or after an earlier one is done.
pub(crate) async fn leave(
    transaction: &Transaction,
    due: &Due,
    due_in_ms: Option<i64>,
) -> Result<bool, DbErr> {
    let left = "UPDATE angarium_inbox SET begun = 0, due_at = {time + $4}";
    change(transaction, due, left, [due_in_ms.into()]).await
}

/// A discarded event was passed over. Its message stays as long as the row.
pub(crate) async fn pass_over(transaction: &Transaction, due: &Due) -> Result<bool, DbErr> {
    let passed = "UPDATE angarium_inbox SET begun = 0, settled_at = {time}, due_at = NULL";
    change(transaction, due, passed, []).await
}

/// The attempt failed, or no further one is made.
pub(crate) async fn fail(
    transaction: &Transaction,
    due: &Due,
    held: Held,
    cause: &str,
    due_in_ms: Option<i64>,
) -> Result<bool, DbErr> {
    let failed = "UPDATE angarium_inbox
                  SET state = $4, cause = $5, due_at = {time + $6}, fingerprint = $7, attempts = attempts + 1, begun = 0,
                      unknown_until = NULL,
                      first_failed_at = coalesce(first_failed_at, {time}), last_failed_at = {time}";
    let event_type = due.message.event_type.as_deref();
    let values = [
        held.as_str().into(),
        cause.into(),
        due_in_ms.into(),
        fingerprint::of(held, event_type, Some(cause)).into(),
    ];
    let failed = change(transaction, due, failed, values).await?;
    transaction.wake_on_commit(super::SIGNAL);
    Ok(failed)
}

pub(super) const SETTLE_ALL: &str = "
UPDATE angarium_inbox SET state = 'done', begun = 0, settled_at = {time}, due_at = NULL, unknown_until = NULL,
                          exchange = NULL, routing_key = NULL, properties = NULL, body = NULL
FROM {list $2: event_id text, lease_ends_ms bigint}
WHERE consumer = $1 AND angarium_inbox.event_id = {uuid list.event_id} AND due_at = {time of list.lease_ends_ms}
  AND state IN ('waiting', 'deferred')";

/// A row that was released, leased or settled meanwhile has another due time, or none.
const OURS: &str =
    "WHERE consumer = $1 AND event_id = {uuid $2} AND due_at = {time of $3} AND state <> 'done'
  AND (state IN ('waiting', 'deferred') OR state = 'discarded' AND settled_at IS NULL)";

fn ours(due: &Due) -> [Value; 3] {
    [
        due.consumer.as_str().into(),
        due.event_id.as_str().into(),
        due.lease_ends_ms.into(),
    ]
}

async fn change(
    transaction: &Transaction,
    due: &Due,
    update: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<bool, DbErr> {
    let values = ours(due).into_iter().chain(values);
    let changed = sql::execute(transaction, &format!("{update} {OURS}"), values).await?;
    Ok(changed == 1)
}

fn due(row: &QueryResult) -> Result<Due, DbErr> {
    Ok(Due {
        consumer: row.try_get("", "consumer")?,
        event_id: row.try_get("", "event_id")?,
        lease_ends_ms: row.try_get("", "lease_ends_ms")?,
        now_ms: row.try_get("", "now_ms")?,
        attempts: u32::try_from(row.try_get::<i32>("", "attempts")?).unwrap_or(0),
        never_ended: u32::try_from(row.try_get::<i32>("", "begun")?)
            .map_or(0, |begun| begun.saturating_sub(1)),
        cause: row.try_get("", "cause")?,
        failing_for_ms: row.try_get("", "failing_for_ms")?,
        here_for_ms: row.try_get("", "here_for_ms")?,
        replayed: row.try_get("", "is_replayed")?,
        repaired: row.try_get("", "is_repaired")?,
        discarded: row.try_get::<String>("", "state")? == Held::Discarded.as_str(),
        unknown_left_ms: row.try_get("", "unknown_left_ms")?,
        message: stored::message(row),
    })
}
