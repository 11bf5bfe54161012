//! Durable timers: events that are published at a later time, unless cancelled before.
//!
//! A timer is a held row of the outbox. At its time the relay releases it; then it is a normal event. Cancelling
//! deletes a row that is still held, or returns that it is too late.

use std::time::Duration;

use event::Event;
use sea_orm::DbErr;
use tokio::time::Instant;
use uuid::Uuid;

use crate::outbox::{self, Cause, Enqueued};
use crate::store::Store;
use crate::transaction::Transaction;
use store::sql;

const BATCH: i64 = 1000;

/// Publishes `event` no earlier than `not_before_ms` (Unix milliseconds, by the database's clock), if `transaction`
/// commits.
///
/// Timers have their own aggregate type, because they are facts about time, not changes of an aggregate. The
/// aggregate's id is that of the timer, and unique.
///
/// # Errors
/// As [`outbox::enqueue`]. If a timer with this id exists, the commit fails.
pub fn set<E: Event>(
    transaction: &Transaction,
    event: &E,
    not_before_ms: i64,
    cause: &Cause,
) -> Result<Uuid, DbErr> {
    outbox::collect(transaction, event, 1, cause, Some(not_before_ms))
}

/// Cancels the timer if `transaction` commits. `false` if no timer has this id, or its time has come.
///
/// # Errors
/// If the database refuses.
pub async fn cancel<E: Event>(transaction: &Transaction, id: &str) -> Result<bool, DbErr> {
    let is_meant = |row: &Enqueued| {
        row.held_until_ms.is_some() && row.aggregate_type == E::AGGREGATE && row.aggregate_id == id
    };
    if transaction.take_back(is_meant) {
        return Ok(true);
    }
    let deleted = sql::execute(
        transaction,
        "DELETE FROM angarium_outbox WHERE aggregate_type = $1 AND aggregate_id = $2 AND held_until IS NOT NULL",
        [E::AGGREGATE.into(), id.into()],
    )
    .await?;
    Ok(deleted > 0)
}

#[derive(Default)]
pub(crate) struct Timers {
    next: Option<Instant>,
}

impl Timers {
    pub(crate) fn are_next_in(&mut self, wait_ms: Option<i64>) {
        self.next = wait_ms.map(|ms| {
            // 0.4 ms left is not due yet.
            Instant::now() + Duration::from_millis(u64::try_from(ms).map_or(0, |ms| ms + 1))
        });
    }

    pub(crate) fn due_in(&self) -> Option<Duration> {
        let next = self.next?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// In batches, because there may be many after a long stop.
    pub(crate) async fn release(&mut self, store: &Store) -> Result<(), DbErr> {
        let _turn = store.turn_to_write().await?;
        let releasing =
            "UPDATE angarium_outbox SET held_until = NULL, created_at = {time}
             WHERE sequence IN (
                 SELECT sequence FROM angarium_outbox WHERE held_until <= {time} ORDER BY held_until LIMIT $1 {skip locked})
               AND held_until <= {time}";
        sql::execute(store.relay(), releasing, [BATCH.into()]).await?;
        self.next = None;
        Ok(())
    }
}
