//! Records the result of a publication: the broker took the event, or it is set aside until the next attempt.
//!
//! Guarantee: each set-aside event has a time at which it is read again, even if the event before it is gone or a
//! process dies in between.

use sea_orm::{ConnectionTrait, DbErr};

use super::Aggregate;
use store::sql;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NotTaken {
    /// No queue is bound for it. Not back-pressure: only a change of the bindings ends it.
    Unroutable,
    /// For example, a queue is full. Back-pressure.
    Refused,
}

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

/// They are released with the row before them, and read again after `delay_ms` in any case.
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

pub(crate) const RELEASED: u64 = 1000;

/// At most [`RELEASED`], the earliest of each aggregate first. Returns how many. They are no back-pressure before they
/// are tried: their age does not mean that the broker takes nothing.
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
