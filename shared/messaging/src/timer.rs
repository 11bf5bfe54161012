//! Durable timers: events that are published at a later time, unless they are cancelled before.
//!
//! A timer is a row of the outbox that is held. When its time has come the relay releases it, in a statement of its own, and
//! from then on it is an event like any other. Cancelling deletes a row that is still held: it either succeeds, and the event
//! is never published, or says that it is too late.

use std::sync::Arc;
use std::time::Duration;

use event::{Event, aggregate_type};
use futures::FutureExt as _;
use sea_orm::{ConnectionTrait, DbErr};
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::backlog;
use crate::outbox::{self, Cause};
use crate::sql;
use crate::store::{Store, Transaction};

/// The signal that a timer was set.
const SIGNAL: &str = "timers";
/// How often to look without a reason to.
const POLL: Duration = Duration::from_secs(30);

/// Publishes `event` no earlier than `not_before_ms` (Unix milliseconds, by the database's clock), if `transaction` commits.
///
/// Timers have an aggregate type of their own, as they are facts about time and not changes of an aggregate: its id names the
/// timer, and there is one for each id.
///
/// # Errors
/// As [`outbox::enqueue`]; also where a timer of this id exists already.
pub async fn set<E: Event>(
    transaction: &Transaction,
    event: &E,
    not_before_ms: i64,
    cause: &Cause,
) -> Result<Uuid, DbErr> {
    transaction.wake_on_commit(SIGNAL);
    outbox::insert(transaction, event, 1, cause, Some(not_before_ms)).await
}

/// Cancels the timer of this id, if `transaction` commits. `false` where there is none, or its time has come.
///
/// # Errors
/// Where the database refuses.
pub async fn cancel<E: Event>(transaction: &Transaction, id: &str) -> Result<bool, DbErr> {
    let deleted = sql::execute(
        &**transaction,
        "DELETE FROM outbox WHERE aggregate_type = $1 AND aggregate_id = $2 AND held_until_ms IS NOT NULL",
        [aggregate_type(E::ROUTING_KEY).into(), id.into()],
    )
    .await?;
    Ok(deleted.rows_affected() > 0)
}

/// The relay's watch on the timers of its database.
pub(crate) struct Timers {
    was_set: Arc<Notify>,
    next: Instant,
}

impl Timers {
    pub(crate) fn new(store: &Store) -> Self {
        Self {
            was_set: store.signal(SIGNAL),
            next: Instant::now(),
        }
    }

    /// Waits until a timer may be due, or one was set that may be earlier.
    pub(crate) async fn due(&self) {
        tokio::select! {
            () = tokio::time::sleep_until(self.next) => (),
            () = self.was_set.notified() => (),
        }
    }

    /// As [`due`](Self::due), for a relay that has no time to wait.
    pub(crate) fn are_due(&self) -> bool {
        self.due().now_or_never().is_some()
    }

    /// Releases the timers whose time has come, and tells whether there were any.
    pub(crate) async fn release(&mut self, store: &Store) -> Result<bool, DbErr> {
        let mut next = next_in_ms(store.connection()).await?;
        let due = next.is_some_and(|wait| wait <= 0);
        if due {
            let _turn = store.turn_to_write().await?;
            let releasing =
                "UPDATE outbox SET held_until_ms = NULL, created_at_ms = {now}, due_at_ms = {now}
                             WHERE held_until_ms <= {now}";
            sql::execute(store.connection(), releasing, []).await?;
            store.signal(backlog::SIGNAL).notify_one();
            next = next_in_ms(store.connection()).await?;
        }
        // Another replica may set a timer and die: then this one finds it, if late.
        self.next = Instant::now() + next.map_or(POLL, wait).min(POLL);
        Ok(due)
    }
}

async fn next_in_ms(db: &impl ConnectionTrait) -> Result<Option<i64>, DbErr> {
    let row = sql::query_one(
        db,
        "SELECT min(held_until_ms) - {now} AS wait_ms FROM outbox WHERE held_until_ms IS NOT NULL",
        [],
    )
    .await?;
    row.map_or(Ok(None), |row| row.try_get("", "wait_ms"))
}

fn wait(ms: i64) -> Duration {
    // One more, because what is due in 0.4 ms is not due yet.
    Duration::from_millis(u64::try_from(ms).unwrap_or(0) + 1)
}
