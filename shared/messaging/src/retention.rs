//! Deletes rows that are no longer needed: published events from the outbox, settled ones from the inbox.
//!
//! In small batches, off the hot path. Dead events wait for a decision, or for a maximum age. The inbox remembers
//! events for longer than a message can take to come back, so that a repeated delivery is harmless.

use std::time::Duration;

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::checkpoint;
use crate::dead_letters::DeadLetters;
use crate::retry::{RetryPolicy, millis};
use crate::store::Store;
use store::{Rounds, sql};

/// Few rows per statement, so that no other transaction waits long.
const BATCH: i64 = 1000;

/// How far a clock may be set back before rows are corrected.
const STEP: Duration = Duration::from_secs(3600);

/// How long rows are kept.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Published events: how long they can be published again.
    pub outbox: Duration,
    /// Settled events: how long a repeated delivery is recognised.
    pub inbox: Duration,
    /// Dead events without a decision; then they are discarded. `None`: forever.
    pub dead_letters: Option<Duration>,
    /// Decisions about dead events.
    pub decisions: Duration,
    /// Between two rounds, ± 50 %.
    pub every: Duration,
}

impl Default for Retention {
    /// A week for the outbox, two for the inbox, a year for decisions, no limit for dead events; rounds every ten
    /// minutes.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            outbox: 7 * DAY,
            inbox: 14 * DAY,
            dead_letters: None,
            decisions: 365 * DAY,
            every: Duration::from_secs(600),
        }
    }
}

impl Retention {
    /// Checks that the inbox remembers for longer than a message can take to come back: published again at the end of
    /// its time in an outbox, then deferred as long as possible.
    ///
    /// # Errors
    /// The settings that conflict.
    pub fn check(&self, retry: &RetryPolicy) -> Result<(), RetentionTooShort> {
        let longest_way_back = self.outbox + retry.longest_age;
        if self.inbox > longest_way_back {
            return Ok(());
        }
        Err(RetentionTooShort {
            inbox: self.inbox,
            outbox: self.outbox,
            longest_age: retry.longest_age,
        })
    }
}

/// A forgotten event could come back and have a second effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "INBOX_RETENTION ({inbox:?}) must be longer than OUTBOX_RETENTION ({outbox:?}) and RETRY_LONGEST_AGE ({longest_age:?}) \
     together: an event that comes back later would have a second effect"
)]
pub struct RetentionTooShort {
    inbox: Duration,
    outbox: Duration,
    longest_age: Duration,
}

/// Not immediately: after a long stop, handled but unacknowledged events come first, and must be recognised.
pub(crate) async fn run(
    store: &Store,
    retention: &Retention,
    consumer: Option<&str>,
    stop: &CancellationToken,
) {
    let dead_letters = consumer.map(|consumer| DeadLetters::new(store.clone(), consumer));
    let mut rounds = Rounds::after_a_pause(retention.every);
    while rounds.next(stop).await {
        let done = clean_up(store, retention, stop).await;
        rounds.report("old rows were not deleted", done);
        let done = checkpoint::forget(store, retention.outbox, retention.inbox).await;
        rounds.report("old checkpoints were not deleted", done);
        let Some(dead_letters) = &dead_letters else {
            continue;
        };
        let done = dead_letters.discard_old(retention.dead_letters, stop).await;
        rounds.report("old dead letters were not discarded", done);
    }
}

/// It first corrects times in the future, so that a wrong clock keeps no row forever.
pub(crate) async fn clean_up(
    store: &Store,
    retention: &Retention,
    stop: &CancellationToken,
) -> Result<(), DbErr> {
    for (statement, age) in [
        (HISTORY_AHEAD, STEP),
        (INBOX_AHEAD, STEP),
        (DECISIONS_AHEAD, STEP),
        (ERASED_AHEAD, STEP),
        (HISTORY, retention.outbox),
        (INBOX, retention.inbox),
        (DECISIONS, retention.decisions),
        (ERASED, retention.inbox),
    ] {
        while !stop.is_cancelled() {
            let _turn = store.turn_to_write().await?;
            let deleted = sql::execute(
                store.connection(),
                statement,
                [millis(age).into(), BATCH.into()],
            )
            .await?;
            // A batch of the history may contain rows that stay.
            if deleted == 0 {
                break;
            }
        }
    }
    Ok(())
}

// In the order of its positions, and so of its times: each batch reads only its start. Rows with a time in the future
// keep those behind them for one more retention at most.
pub(crate) const HISTORY: &str = "
DELETE FROM angarium_outbox_history WHERE position IN (
    SELECT position FROM (SELECT position, published_at FROM angarium_outbox_history ORDER BY position LIMIT $2) AS oldest
    WHERE published_at < {time - $1})";
const INBOX: &str = "
DELETE FROM angarium_inbox WHERE (consumer, event_id) IN (
    SELECT consumer, event_id FROM angarium_inbox WHERE settled_at < {time - $1}
    ORDER BY settled_at LIMIT $2 {skip locked})";
const DECISIONS: &str = "
DELETE FROM angarium_dead_letter_decision WHERE sequence IN (
    SELECT sequence FROM angarium_dead_letter_decision WHERE decided_at < {time - $1}
    ORDER BY decided_at LIMIT $2 {skip locked})";

// For as long as an event can come back.
const ERASED: &str = "
DELETE FROM angarium_erased_person WHERE person_id IN (
    SELECT person_id FROM angarium_erased_person WHERE erased_at < {time - $1}
    ORDER BY erased_at LIMIT $2 {skip locked})";

// The retention of rows with a time in the future begins now.
const HISTORY_AHEAD: &str = "
UPDATE angarium_outbox_history SET published_at = {time} WHERE position IN (
    SELECT position FROM (SELECT position, published_at FROM angarium_outbox_history ORDER BY position LIMIT $2) AS oldest
    WHERE published_at > {time + $1})";
const INBOX_AHEAD: &str = "
UPDATE angarium_inbox SET settled_at = {time} WHERE (consumer, event_id) IN (
    SELECT consumer, event_id FROM angarium_inbox WHERE settled_at > {time + $1}
    ORDER BY settled_at LIMIT $2 {skip locked})";
const DECISIONS_AHEAD: &str = "
UPDATE angarium_dead_letter_decision SET decided_at = {time} WHERE sequence IN (
    SELECT sequence FROM angarium_dead_letter_decision WHERE decided_at > {time + $1}
    ORDER BY decided_at LIMIT $2 {skip locked})";
const ERASED_AHEAD: &str = "
UPDATE angarium_erased_person SET erased_at = {time} WHERE person_id IN (
    SELECT person_id FROM angarium_erased_person WHERE erased_at > {time + $1}
    ORDER BY erased_at LIMIT $2 {skip locked})";
