//! Records the result of a publication: the broker took the event, or the event is set aside until the next attempt.
//!
//! Guarantee: each set-aside event has a time at which it is read again, even if the event before it is gone. So no
//! event stays aside forever, even if a process dies between two of these statements.

use sea_orm::{ConnectionTrait, DbErr};

use super::Aggregate;
use store::sql;

/// Why the broker did not take an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NotTaken {
    /// No queue is bound for it. Not back-pressure: only a change of the bindings ends it.
    Unroutable,
    /// The broker refuses it, for example because a queue is full. Back-pressure.
    Refused,
}

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
        "UPDATE angarium_outbox
         SET attempts = attempts + 1, last_error = $2, due_at = {time + $3}, set_aside_at = {time},
             unroutable_since = CASE WHEN $4 THEN coalesce(unroutable_since, {time}) END
         WHERE sequence {in numbers $1}",
        [
            sql::numbers(sequences),
            reason.into(),
            delay_ms.into(),
            (why == NotTaken::Unroutable).into(),
        ],
    )
    .await?;
    Ok(())
}

/// Sets rows aside that wait behind a set-aside row, for the same reason. They are released with it, and read again
/// after `delay_ms` in any case.
pub(crate) async fn set_aside_behind(
    db: &impl ConnectionTrait,
    sequences: impl IntoIterator<Item = i64>,
    delay_ms: i64,
) -> Result<(), DbErr> {
    sql::execute(
        db,
        "UPDATE angarium_outbox AS behind SET due_at = {time + $2}, set_aside_at = {time}, unroutable_since = (
             SELECT earlier.unroutable_since FROM angarium_outbox AS earlier
             WHERE earlier.held_until IS NULL AND earlier.aggregate_type = behind.aggregate_type AND earlier.aggregate_id = behind.aggregate_id
               AND earlier.aggregate_version < behind.aggregate_version
             ORDER BY earlier.aggregate_version LIMIT 1)
         WHERE sequence {in numbers $1}",
        [sql::numbers(sequences), delay_ms.into()],
    )
    .await?;
    Ok(())
}

/// How many rows one statement releases.
pub(crate) const RELEASED: u64 = 1000;

/// Releases rows of these aggregates that wait behind a row that is published now: at most [`RELEASED`], the earliest
/// of each aggregate first. Returns how many. Released rows do not count as back-pressure before they are tried: their
/// age does not mean that the broker takes nothing.
pub(crate) async fn release_behind(
    db: &impl ConnectionTrait,
    aggregates: impl IntoIterator<Item = Aggregate>,
) -> Result<u64, DbErr> {
    sql::execute(db, &releasing(), [sql::pairs(aggregates)]).await
}

pub(super) fn releasing() -> String {
    format!(
        "UPDATE angarium_outbox SET set_aside_at = NULL, due_at = NULL WHERE sequence IN (
             SELECT sequence FROM angarium_outbox
             WHERE set_aside_at IS NOT NULL AND (aggregate_type, aggregate_id) IN {{pairs $1}}
             ORDER BY aggregate_type, aggregate_id, aggregate_version LIMIT {RELEASED})"
    )
}
