//! Counts the waiting events of a service's outbox and inbox, in a task beside the collections of metrics.
//!
//! A collection reads the last count and never waits for one. Counts run only while collections come, and take at most
//! a sixth of the time. An unavailable database costs a collection only its numbers.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::DbErr;
use store::sql;
use tokio::sync::Notify;

use crate::backlog::watch::OLDEST;
use crate::checkpoint::{self, Incomplete};
use crate::store::Store;

const FRESH: Duration = Duration::from_millis(500);
/// A pause is at least this many times as long as the successful count before it.
const REST: u32 = 5;
/// Between two collections the count is repeated this often, so that the next one finds a recent count.
const PERIOD: Duration = Duration::from_secs(10);
/// This long after a collection, another one is expected.
const EXPECTED: Duration = Duration::from_secs(150);
/// A count that is overdue by this is not shown.
const OUTDATED: Duration = Duration::from_secs(60);

pub(super) const STATES: [&str; 5] = ["waiting", "unknown", "deferred", "dead", "skipped"];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) pending: u64,
    pub(super) unroutable: u64,
    pub(super) oldest_age_ms: u64,
    pub(super) held: [u64; STATES.len()],
    pub(super) incomplete: Incomplete,
}

#[derive(Debug, Default)]
pub(super) struct Counter {
    collected: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Counted>,
    outdated_at: Option<Instant>,
    collected: Option<Instant>,
}

impl Counter {
    /// `None` before the first count, and while the database is unavailable.
    pub(super) fn last(&self) -> Option<Counted> {
        let mut state = self.state();
        state.collected = Some(Instant::now());
        self.collected.notify_one();
        let is_recent = state.outdated_at.is_some_and(|at| Instant::now() < at);
        state.last.filter(|_| is_recent)
    }

    pub(super) async fn run(&self, store: &Store) -> Infallible {
        loop {
            let collected = self.collected.notified();
            if self.expects_collection() {
                let _ = tokio::time::timeout(PERIOD, collected).await;
            } else {
                collected.await;
            }
            let begun = Instant::now();
            let counted = count(store).await;
            if let Err(error) = &counted {
                tracing::debug!(%error, "cannot count waiting events");
            }
            let rest = rest(begun.elapsed(), counted.is_ok());
            self.keep(counted.ok(), rest);
            tokio::time::sleep(rest).await;
        }
    }

    fn keep(&self, counted: Option<Counted>, rest: Duration) {
        let mut state = self.state();
        state.last = counted;
        state.outdated_at = Instant::now().checked_add(rest + OUTDATED);
    }

    fn expects_collection(&self) -> bool {
        let collected = self.state().collected;
        collected.is_some_and(|at| at.elapsed() < EXPECTED)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause after a count that took `elapsed`. A failed count says that it waited, not that counting is expensive: the
/// gauges show nothing until the next count, so it comes soon.
fn rest(elapsed: Duration, succeeded: bool) -> Duration {
    if succeeded {
        FRESH.max(elapsed * REST)
    } else {
        elapsed.clamp(FRESH, PERIOD)
    }
}

async fn count(store: &Store) -> Result<Counted, DbErr> {
    let db = store.connection();
    let outbox = format!(
        "SELECT (SELECT count(*) FROM angarium_outbox WHERE held_until IS NULL AND set_aside_at IS NULL) AS ready,
                (SELECT count(*) FROM angarium_outbox WHERE set_aside_at IS NOT NULL) AS aside,
                (SELECT count(*) FROM angarium_outbox
                 WHERE set_aside_at IS NOT NULL AND unroutable_since IS NOT NULL) AS unroutable,
                coalesce({{now}} - {{ms ({OLDEST})}}, 0) AS age_ms"
    );
    let inbox = "SELECT CASE WHEN unknown_until IS NULL THEN state ELSE 'unknown' END AS state, count(*) AS held FROM angarium_inbox
                 WHERE state <> 'done' AND state IN ('waiting', 'deferred', 'dead', 'skipped') GROUP BY 1";
    let mut counted = Counted {
        incomplete: checkpoint::count(db).await?,
        ..Counted::default()
    };
    if let Some(row) = sql::query_one(db, &outbox, []).await? {
        counted.pending = unsigned(row.try_get("", "ready")?) + unsigned(row.try_get("", "aside")?);
        counted.unroutable = unsigned(row.try_get("", "unroutable")?);
        counted.oldest_age_ms = unsigned(row.try_get("", "age_ms")?);
    }
    for row in sql::query_all(db, inbox, []).await? {
        let state: String = row.try_get("", "state")?;
        if let Some(index) = STATES.iter().position(|known| **known == state) {
            counted.held[index] = unsigned(row.try_get("", "held")?);
        }
    }
    Ok(counted)
}

/// A replica's clock may be slightly behind.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_count_is_followed_by_a_longer_pause() {
        assert_eq!(rest(Duration::from_millis(2), true), FRESH);
        assert_eq!(rest(Duration::from_secs(2), true), Duration::from_secs(10));
    }

    #[test]
    fn the_next_count_after_a_failed_one_comes_within_ten_seconds() {
        assert_eq!(rest(Duration::from_secs(30), false), PERIOD);
        assert_eq!(rest(Duration::from_millis(2), false), FRESH);
    }
}
