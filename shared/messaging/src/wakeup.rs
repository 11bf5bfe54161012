//! When there is work to do, for every worker that waits for rows.
//!
//! A worker sleeps until its own process commits something for it, until a known time, or until a poll finds what
//! neither has announced: rows of another process, or of one that died. All workers of a service share one poll.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use store::Database;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

mod looks;
mod work;

pub(crate) use looks::Looks;
use looks::Seen;
pub use work::Work;

/// Why a worker woke up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// A transaction of this process has committed work for it.
    Committed,
    /// A known time has come.
    Due,
    /// The poll has found unannounced work.
    Found,
}

/// One worker's wakeups. Created by [`Store::wakeup`](crate::Store::wakeup).
pub struct Wakeup {
    db: Database,
    looks: Looks,
    id: u64,
    question: String,
    committed: Arc<Notify>,
    seen: watch::Receiver<Seen>,
}

impl Wakeup {
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

    /// The time until there is work, by the database; zero if there is some now, `None` if none is scheduled.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn ask(&self) -> Result<Option<Duration>, DbErr> {
        looks::ask_one(&self.db, &self.question).await
    }

    /// Sleeps for `known` (`None`: without limit), or until woken earlier.
    pub async fn sleep(&mut self, known: Option<Duration>) -> Woken {
        // Earlier results are older than what the worker knows.
        self.seen.mark_unchanged();
        let mut until = known.map(|known| Instant::now() + known);
        let looks = self.looks.clone();
        loop {
            tokio::select! {
                biased;
                () = self.committed.notified() => return Woken::Committed,
                () = reached(until) => return Woken::Due,
                // `self.looks` holds the sender, so `changed` never fails.
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
}

impl Drop for Wakeup {
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
