//! When there is work to do, for everyone who waits for rows: the relay, what was deferred, the budget, a service's own workers.
//!
//! A worker sleeps until its own process has committed something for it, until what it knows of is due, or until a look at the
//! database finds what neither has told: the rows of another process, or of one that has died. All workers of a service share
//! one look, so that an idle service asks its database one thing at a time, and that seldom.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use store::Database;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::reconnect::Reconnect;

mod looks;

pub(crate) use looks::Looks;
use looks::Seen;

/// Where somebody else is at what is due: short, and still no spinning.
const PAUSE: Duration = Duration::from_millis(100);

/// What has ended a worker's sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// A transaction of this process has committed what the worker waits for.
    Committed,
    /// What was known to become due is.
    Due,
    /// A look has found something due of which nobody had told.
    Found,
}

/// One worker's view of when it has something to do. Made by [`Store::due`].
pub struct Due {
    db: Database,
    looks: Looks,
    id: u64,
    question: String,
    committed: Arc<Notify>,
    seen: watch::Receiver<Seen>,
}

impl Due {
    pub(crate) fn new(
        db: Database,
        looks: Looks,
        committed: Arc<Notify>,
        question: String,
    ) -> Self {
        let (id, seen) = looks.take_part(question.clone());
        Self {
            db,
            looks,
            committed,
            id,
            question,
            seen,
        }
    }

    /// How long until there is something to do, as the database sees it now; zero where there is, `None` where nothing will be.
    ///
    /// # Errors
    /// Where the database is away.
    pub async fn ask(&self) -> Result<Option<Duration>, DbErr> {
        looks::ask_one(&self.db, &self.question).await
    }

    /// Sleeps for as long as `known` says that nothing is to be done (`None`: for good), or until it is woken before.
    pub async fn sleep(&mut self, known: Option<Duration>) -> Woken {
        // What was seen before is older than what the worker knows.
        self.seen.mark_unchanged();
        let mut until = known.map(|known| Instant::now() + known);
        let looks = self.looks.clone();
        loop {
            tokio::select! {
                biased;
                () = self.committed.notified() => return Woken::Committed,
                () = reached(until) => return Woken::Due,
                // Its sender is as old as the store, which is held here.
                _ = self.seen.changed() => {
                    let Some(due) = self.seen.borrow_and_update().due_of(self.id) else {
                        continue;
                    };
                    if due <= Instant::now() {
                        return Woken::Found;
                    }
                    until = Some(until.map_or(due, |until| until.min(due)));
                }
                () = looks.next(&self.db) => {}
            }
        }
    }

    /// Calls `step` whenever something is due, and for as long as it has done something, until `stop`. Where a step finds nothing
    /// although something is due, others are at it, and it is tried again in a moment. What fails is told to `failed`, and tried
    /// again after a while.
    pub async fn work<S, E>(
        mut self,
        stop: &CancellationToken,
        step: impl Fn() -> S,
        failed: impl Fn(E),
    ) where
        S: Future<Output = Result<bool, E>>,
        E: From<DbErr>,
    {
        let mut reconnect = Reconnect::default();
        while !stop.is_cancelled() {
            match self.do_what_is_due(stop, &step).await {
                Ok(known) => {
                    reconnect.reset();
                    let _ = stop.run_until_cancelled(self.sleep(known)).await;
                }
                Err(error) => {
                    failed(error);
                    reconnect.pause(stop).await;
                }
            }
        }
    }

    /// How long there is nothing more to do.
    async fn do_what_is_due<S, E>(
        &self,
        stop: &CancellationToken,
        step: &impl Fn() -> S,
    ) -> Result<Option<Duration>, E>
    where
        S: Future<Output = Result<bool, E>>,
        E: From<DbErr>,
    {
        loop {
            let known = self.ask().await?;
            if known != Some(Duration::ZERO) {
                return Ok(known);
            }
            if stop.is_cancelled() || !step().await? {
                return Ok(Some(PAUSE));
            }
            while !stop.is_cancelled() && step().await? {}
        }
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        self.looks.leave(self.id);
    }
}

async fn reached(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}
