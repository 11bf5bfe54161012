//! Records the result of a hand-over: the broker took the event, or the event is set aside until the next attempt.
//!
//! Guarantee: each set-aside event has a time at which it is read again, even if the event before it is gone. So no event stays
//! aside for good, even if a process dies between two of these statements.

use sea_orm::{ConnectionTrait, DbErr};

use store::sql;

/// Why the broker did not take an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NotTaken {
    /// No queue is bound for it. This is not back-pressure: only a change of the bindings ends it.
    Unroutable,
    /// The broker refuses it, for example because a queue is full. This counts as back-pressure.
    Refused,
}

/// Marks rows as published, in one statement.
pub(crate) async fn mark_published(
    db: &impl ConnectionTrait,
    sequences: impl IntoIterator<Item = i64>,
) -> Result<(), DbErr> {
    sql::execute(db, MARK, [sql::list(sequences)]).await?;
    Ok(())
}

pub(super) const MARK: &str =
    "UPDATE outbox SET published_at_ms = {now}, last_error = NULL WHERE sequence IN {list $1}";

/// Sets rows aside that the broker did not take, with the reason, until `delay_ms` from now.
pub(crate) async fn postpone(
    db: &impl ConnectionTrait,
    sequences: impl IntoIterator<Item = i64>,
    why: NotTaken,
    reason: &str,
    delay_ms: i64,
) -> Result<(), DbErr> {
    sql::execute(
        db,
        "UPDATE outbox SET attempts = attempts + 1, last_error = $2, due_at_ms = {now} + $3, set_aside_at_ms = {now},
                           unroutable_since_ms = CASE WHEN $4 THEN coalesce(unroutable_since_ms, {now}) END
         WHERE sequence IN {list $1}",
        [
            sql::list(sequences),
            reason.into(),
            delay_ms.into(),
            (why == NotTaken::Unroutable).into(),
        ],
    )
    .await?;
    Ok(())
}

/// Sets rows aside that wait behind a set-aside row, for the same reason. They are released with it, and read again after
/// `delay_ms` in any case.
pub(crate) async fn set_aside_behind(
    db: &impl ConnectionTrait,
    sequences: impl IntoIterator<Item = i64>,
    delay_ms: i64,
) -> Result<(), DbErr> {
    sql::execute(
        db,
        "UPDATE outbox AS behind SET due_at_ms = {now} + $2, set_aside_at_ms = {now}, unroutable_since_ms = (
             SELECT earlier.unroutable_since_ms FROM outbox AS earlier
             WHERE earlier.published_at_ms IS NULL AND earlier.held_until_ms IS NULL
               AND earlier.aggregate_type = behind.aggregate_type AND earlier.aggregate_id = behind.aggregate_id
               AND earlier.aggregate_version < behind.aggregate_version
             ORDER BY earlier.aggregate_version LIMIT 1)
         WHERE sequence IN {list $1} AND published_at_ms IS NULL",
        [sql::list(sequences), delay_ms.into()],
    )
    .await?;
    Ok(())
}

/// How many rows one statement releases.
pub(crate) const RELEASED: u64 = 1000;

/// Releases rows that wait behind these rows, which are published now: at most [`RELEASED`], the earliest of each aggregate first.
/// Returns how many. The released rows do not count as back-pressure before they were tried: their age does not mean that the
/// broker takes nothing.
pub(crate) async fn release_behind(
    db: &impl ConnectionTrait,
    sequences: impl IntoIterator<Item = i64>,
) -> Result<u64, DbErr> {
    let released = sql::execute(
        db,
        &format!(
            "UPDATE outbox SET set_aside_at_ms = NULL, due_at_ms = {{now}} WHERE sequence IN (
                 SELECT sequence FROM outbox
                 WHERE published_at_ms IS NULL AND held_until_ms IS NULL AND set_aside_at_ms IS NOT NULL
                   AND (aggregate_type, aggregate_id) IN (
                       SELECT aggregate_type, aggregate_id FROM outbox WHERE sequence IN {{list $1}})
                 ORDER BY aggregate_type, aggregate_id, aggregate_version LIMIT {RELEASED})"
        ),
        [sql::list(sequences)],
    )
    .await?;
    Ok(released)
}
