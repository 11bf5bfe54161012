//! What is held and has become due: taken up under a lease, and settled or held on by who has it.
//!
//! Guarantee: an attempt is counted before it begins. One that ends its process has been counted by then, so an event that kills
//! whoever handles it is given up on like any other. What succeeds, or was no attempt after all, is taken off the count again.

use std::time::Duration;

use event::Message;
use sea_orm::{DbErr, QueryResult, Value};

use super::Held;
use crate::retry::millis;
use crate::store::{Store, Transaction};
use crate::{sql, stored};

/// A held event whose time has come, in the hands of one worker.
#[derive(Clone)]
pub(crate) struct Due {
    pub(crate) consumer: String,
    pub(crate) event_id: String,
    /// The number of this attempt, from 1. In the row it says in whose hands the event is.
    pub(crate) attempt: u32,
    /// Why it was held, or has failed before.
    pub(crate) cause: Option<String>,
    /// How long it has been failing, in milliseconds.
    pub(crate) failing_for_ms: i64,
    /// How long ago it came, in milliseconds.
    pub(crate) here_for_ms: i64,
    /// An operator wants it handled, also where its turn is over.
    pub(crate) replayed: bool,
    /// An operator wants it passed over.
    pub(crate) discarded: bool,
    pub(crate) message: Message,
}

/// Asks how long until something is due.
pub(crate) fn due_in_ms(consumer: &str) -> String {
    format!(
        "SELECT min(due_at_ms) - {{now}} FROM inbox WHERE consumer = {} AND due_at_ms IS NOT NULL",
        sql::text(consumer)
    )
}

/// Takes up at most `limit` of those that have been due longest. Until `lease` has passed nobody else does, so a worker that dies
/// delays its events by no more. Those that another replica is just at are passed over.
pub(crate) async fn take_up(
    store: &Store,
    consumer: &str,
    limit: usize,
    lease: Duration,
) -> Result<Vec<Due>, DbErr> {
    let _turn = store.turn_to_write().await?;
    let rows = sql::query_all(
        store.connection(),
        "WITH taken AS MATERIALIZED (
             SELECT consumer, event_id FROM inbox
             WHERE consumer = $1 AND due_at_ms <= {now} ORDER BY due_at_ms LIMIT $2 {skip_locked})
         UPDATE inbox SET attempts = attempts + 1, due_at_ms = {now} + $3
         WHERE (consumer, event_id) IN (SELECT consumer, event_id FROM taken)
         RETURNING *, {now} - coalesce(first_failed_at_ms, {now}) AS failing_for_ms, {now} - received_at_ms AS here_for_ms",
        [
            consumer.into(),
            i64::try_from(limit).unwrap_or(i64::MAX).into(),
            millis(lease).into(),
        ],
    )
    .await?;
    rows.iter().map(due).collect()
}

/// Has the event for another `lease`, after the database was away. `false` where somebody else has it by now.
pub(crate) async fn keep(store: &Store, due: &Due, lease: Duration) -> Result<bool, DbErr> {
    let _turn = store.turn_to_write().await?;
    let kept = "UPDATE inbox SET due_at_ms = {now} + $4";
    let sql = format!("{kept} {OURS}");
    let values = ours(due).into_iter().chain([millis(lease).into()]);
    let kept = sql::execute(store.connection(), &sql, values).await?;
    Ok(kept.rows_affected() == 1)
}

/// It is done; its message is not needed any more. From here on the row is locked. `false`, as for all below, where somebody else
/// has it by now.
pub(crate) async fn settle(transaction: &Transaction, due: &Due) -> Result<bool, DbErr> {
    let done = "UPDATE inbox SET state = 'done', attempts = attempts - 1, settled_at_ms = {now}, due_at_ms = NULL,
                                 exchange = NULL, routing_key = NULL, properties = NULL, body = NULL";
    change(transaction, due, done, []).await
}

/// It is not to be tried until something else happens: an earlier one is done, or its type is known.
pub(crate) async fn park(transaction: &Transaction, due: &Due, held: Held) -> Result<bool, DbErr> {
    let parked = "UPDATE inbox SET state = $4, attempts = attempts - 1, due_at_ms = NULL,
                                   settled_at_ms = CASE WHEN $4 = 'skipped' THEN {now} END";
    change(transaction, due, parked, [held.as_str().into()]).await
}

/// It stays as it is, and is looked at again in `due_in_ms`; without that when an earlier one is done.
pub(crate) async fn leave(
    transaction: &Transaction,
    due: &Due,
    due_in_ms: Option<i64>,
) -> Result<bool, DbErr> {
    let left = "UPDATE inbox SET attempts = attempts - 1, due_at_ms = {now} + $4";
    change(transaction, due, left, [due_in_ms.into()]).await
}

/// A discarded event has been passed over. It keeps its message for as long as the row is kept.
pub(crate) async fn pass_over(transaction: &Transaction, due: &Due) -> Result<bool, DbErr> {
    let passed =
        "UPDATE inbox SET attempts = attempts - 1, settled_at_ms = {now}, due_at_ms = NULL";
    change(transaction, due, passed, []).await
}

/// The attempt has failed.
pub(crate) async fn fail(
    transaction: &Transaction,
    due: &Due,
    held: Held,
    cause: &str,
    due_in_ms: Option<i64>,
) -> Result<bool, DbErr> {
    let failed = "UPDATE inbox SET state = $4, cause = $5, due_at_ms = {now} + $6,
                                   first_failed_at_ms = coalesce(first_failed_at_ms, {now}), last_failed_at_ms = {now}";
    let values = [held.as_str().into(), cause.into(), due_in_ms.into()];
    let failed = change(transaction, due, failed, values).await?;
    transaction.wake_on_commit(super::SIGNAL);
    Ok(failed)
}

/// A row that has been released or taken up again since has another number, or another state.
const OURS: &str = "WHERE consumer = $1 AND event_id = $2 AND attempts = $3 AND state <> 'done'
  AND (state IN ('waiting', 'deferred') OR state = 'discarded' AND settled_at_ms IS NULL)";

fn ours(due: &Due) -> [Value; 3] {
    let attempts = i32::try_from(due.attempt).unwrap_or(i32::MAX);
    [
        due.consumer.as_str().into(),
        due.event_id.as_str().into(),
        attempts.into(),
    ]
}

async fn change(
    transaction: &Transaction,
    due: &Due,
    update: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<bool, DbErr> {
    let values = ours(due).into_iter().chain(values);
    let changed = sql::execute(&**transaction, &format!("{update} {OURS}"), values).await?;
    Ok(changed.rows_affected() == 1)
}

fn due(row: &QueryResult) -> Result<Due, DbErr> {
    Ok(Due {
        consumer: row.try_get("", "consumer")?,
        event_id: row.try_get("", "event_id")?,
        attempt: u32::try_from(row.try_get::<i32>("", "attempts")?).unwrap_or(1),
        cause: row.try_get("", "cause")?,
        failing_for_ms: row.try_get("", "failing_for_ms")?,
        here_for_ms: row.try_get("", "here_for_ms")?,
        replayed: row.try_get::<Option<i64>>("", "replayed_at_ms")?.is_some(),
        discarded: row.try_get::<String>("", "state")? == Held::Discarded.as_str(),
        message: stored::message(row)?,
    })
}
