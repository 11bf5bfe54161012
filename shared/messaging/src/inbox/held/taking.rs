//! Takes up held events that are due, and renews their leases.

use std::time::Duration;

use sea_orm::{DbErr, QueryResult};
use store::sql;

use super::{OURS, RetryLease, adoptable, listed, ours};
use crate::inbox::NotDone;
use crate::retry::millis;
use crate::store::Store;
use crate::stored;

// `begun > 0` is literal everywhere: SQLite uses a partial index only if the query contains its condition.
pub(in crate::inbox) const SUSPECT: &str = "SELECT 1 AS one FROM angarium_inbox WHERE consumer = $1 AND due_at <= {time} AND begun > 0 LIMIT 1";

const GIVE_BACK: &str = "
UPDATE angarium_inbox SET begun = begun - 1, due_at = {time + $3}
FROM {list $2: event_id text, lease_ends_ms bigint}
WHERE consumer = $1 AND angarium_inbox.event_id = {uuid list.event_id} AND due_at = {time of list.lease_ends_ms}
  AND begun > 0 AND state IN ('waiting', 'deferred', 'discarded')";

/// Few enough for one statement.
const ADOPTED: u32 = 1000;

/// Makes a batch of events due that wait for one of these types. Returns how many.
pub(crate) async fn adopt(store: &Store, consumer: &str, known: &[&str]) -> Result<u64, DbErr> {
    let _turn = store.turn_to_write().await?;
    let adoptable = adoptable(consumer, known);
    // The new due time ends another worker's lease.
    let adopt =
        format!("UPDATE angarium_inbox SET due_at = {{time}}, unknown_until = NULL
         WHERE (consumer, event_id) IN (
             SELECT consumer, event_id FROM angarium_inbox {adoptable} LIMIT {ADOPTED} {{skip locked}})");
    sql::execute(store.connection(), &adopt, []).await
}

pub(crate) async fn has_suspect(store: &Store, consumer: &str) -> Result<bool, DbErr> {
    let suspect = sql::query_one(store.connection(), SUSPECT, [consumer.into()]).await?;
    Ok(suspect.is_some())
}

pub(in crate::inbox) fn taking_up(suspects: bool) -> String {
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

/// Leases at most `limit` of the events that have been due longest, `suspects` or others. A worker that dies delays its
/// events only by `lease`.
pub(crate) async fn take_up(
    store: &Store,
    consumer: &str,
    suspects: bool,
    limit: usize,
    lease: Duration,
) -> Result<Vec<RetryLease>, DbErr> {
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
    rows.iter().map(leased).collect()
}

/// Gives leases back: no attempt counts, and any worker may take the events after `pause`.
pub(crate) async fn give_back(
    store: &Store,
    all: &[RetryLease],
    pause: Duration,
) -> Result<(), DbErr> {
    let Some(first) = all.first() else {
        return Ok(());
    };
    let _turn = store.turn_to_write().await?;
    let values = [
        first.consumer.as_str().into(),
        listed(all),
        millis(pause).into(),
    ];
    sql::execute(store.connection(), GIVE_BACK, values).await?;
    Ok(())
}

/// Before an attempt that could not share a transaction. `None` if another worker has the event.
pub(crate) async fn keep(
    store: &Store,
    mut leased: RetryLease,
    lease: Duration,
) -> Result<Option<RetryLease>, DbErr> {
    let _turn = store.turn_to_write().await?;
    let sql = format!(
        "UPDATE angarium_inbox SET due_at = {{time + $4}} {OURS} RETURNING {{ms due_at}} AS lease_ends_ms, {{now}} AS now_ms"
    );
    let values = ours(&leased).into_iter().chain([millis(lease).into()]);
    let Some(row) = sql::query_one(store.connection(), &sql, values).await? else {
        return Ok(None);
    };
    leased.lease_ends_ms = row.try_get("", "lease_ends_ms")?;
    leased.now_ms = row.try_get("", "now_ms")?;
    Ok(Some(leased))
}

fn leased(row: &QueryResult) -> Result<RetryLease, DbErr> {
    Ok(RetryLease {
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
        discarded: row.try_get::<String>("", "state")? == NotDone::Discarded.as_str(),
        unknown_left_ms: row.try_get("", "unknown_left_ms")?,
        message: stored::message(row),
    })
}
