//! The end of an attempt at a held event: done, held again, or failed.

use std::time::Duration;

use sea_orm::{DbErr, Value};
use store::sql;

use super::{OURS, RetryLease, listed, ours};
use crate::inbox::{self, NotDone, fingerprint};
use crate::retry::millis;
use crate::transaction::Transaction;

/// The rows stay locked. `false` if another worker has one of them: the caller must roll back.
pub(crate) async fn settle_all(
    transaction: &Transaction,
    all: &[&RetryLease],
) -> Result<bool, DbErr> {
    let Some(first) = all.first() else {
        return Ok(true);
    };
    let values = [first.consumer.as_str().into(), listed(all.iter().copied())];
    let settled = sql::execute(transaction, SETTLE_ALL, values).await?;
    Ok(usize::try_from(settled).ok() == Some(all.len()))
}

pub(crate) async fn mark_late(transaction: &Transaction, leased: &RetryLease) -> Result<(), DbErr> {
    let marking =
        "UPDATE angarium_inbox SET late = true WHERE consumer = $1 AND event_id = {uuid $2}";
    let values = [
        leased.consumer.as_str().into(),
        leased.event_id.as_str().into(),
    ];
    sql::execute(transaction, marking, values).await?;
    Ok(())
}

/// As waiting for an earlier event, or as skipped.
pub(crate) async fn park(
    transaction: &Transaction,
    leased: &RetryLease,
    state: NotDone,
) -> Result<bool, DbErr> {
    let parked =
        "UPDATE angarium_inbox SET state = $4, begun = 0, due_at = NULL, unknown_until = NULL,
                                   settled_at = CASE WHEN $4 = 'skipped' THEN {time} END";
    change(transaction, leased, parked, [state.as_str().into()]).await
}

pub(crate) async fn await_type(
    transaction: &Transaction,
    leased: &RetryLease,
    left: Duration,
) -> Result<bool, DbErr> {
    let waits = "UPDATE angarium_inbox SET state = 'waiting', begun = 0, due_at = {time + $4},
                                   unknown_until = coalesce(unknown_until, {time + $4})";
    change(transaction, leased, waits, [millis(left).into()]).await
}

/// For `due_in_ms`, or until an earlier event is done.
pub(crate) async fn leave(
    transaction: &Transaction,
    leased: &RetryLease,
    due_in_ms: Option<i64>,
) -> Result<bool, DbErr> {
    let left = "UPDATE angarium_inbox SET begun = 0, due_at = {time + $4}";
    change(transaction, leased, left, [due_in_ms.into()]).await
}

/// Its message stays as long as the row.
pub(crate) async fn pass_over(
    transaction: &Transaction,
    leased: &RetryLease,
) -> Result<bool, DbErr> {
    let passed = "UPDATE angarium_inbox SET begun = 0, settled_at = {time}, due_at = NULL";
    change(transaction, leased, passed, []).await
}

/// The attempt failed, or no further one is made.
pub(crate) async fn fail(
    transaction: &Transaction,
    leased: &RetryLease,
    state: NotDone,
    cause: &str,
    due_in_ms: Option<i64>,
) -> Result<bool, DbErr> {
    let failed = "UPDATE angarium_inbox
                  SET state = $4, cause = $5, due_at = {time + $6}, fingerprint = $7, attempts = attempts + 1, begun = 0,
                      unknown_until = NULL,
                      first_failed_at = coalesce(first_failed_at, {time}), last_failed_at = {time}";
    let event_type = leased.message.event_type.as_deref();
    let values = [
        state.as_str().into(),
        cause.into(),
        due_in_ms.into(),
        fingerprint::of(state, event_type, Some(cause)).into(),
    ];
    let failed = change(transaction, leased, failed, values).await?;
    transaction.wake_on_commit(inbox::SIGNAL);
    Ok(failed)
}

const SETTLE_ALL: &str = "
UPDATE angarium_inbox SET state = 'done', begun = 0, settled_at = {time}, due_at = NULL, unknown_until = NULL,
                          exchange = NULL, routing_key = NULL, properties = NULL, body = NULL
FROM {list $2: event_id text, lease_ends_ms bigint}
WHERE consumer = $1 AND angarium_inbox.event_id = {uuid list.event_id} AND due_at = {time of list.lease_ends_ms}
  AND state IN ('waiting', 'deferred')";

async fn change(
    transaction: &Transaction,
    leased: &RetryLease,
    update: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<bool, DbErr> {
    let values = ours(leased).into_iter().chain(values);
    let changed = sql::execute(transaction, &format!("{update} {OURS}"), values).await?;
    Ok(changed == 1)
}
