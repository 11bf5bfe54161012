//! The look that all workers of a service share: one statement with the question of each, asked by whoever is awake first.
//!
//! Nobody is in charge of it. As long as one worker sleeps, looks go on; so a relay that waits for its broker keeps nobody from
//! being woken. A database that is away is noticed by who works with it; here it only means that nothing was seen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};
use store::Database;
use tokio::sync::watch;
use tokio::time::Instant;

use store::sql;

/// What a service's workers ask, and what they have seen. Clones share it.
#[derive(Clone)]
pub(crate) struct Looks {
    every: Duration,
    ids: Arc<AtomicU64>,
    questions: Arc<Mutex<BTreeMap<u64, String>>>,
    seen: watch::Sender<Seen>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// A look takes at most one part in so many of the time, also where dead rows that an old snapshot keeps make it slow.
const SHARE: u32 = 20;

/// What the last look has found.
pub(crate) struct Seen {
    next_at: Instant,
    due: BTreeMap<u64, Instant>,
}

impl Seen {
    /// When the worker has something to do; `None` where nothing is known of.
    pub(crate) fn due_of(&self, id: u64) -> Option<Instant> {
        self.due.get(&id).copied()
    }
}

impl Looks {
    pub(crate) fn new(every: Duration) -> Self {
        let nothing = Seen {
            next_at: Instant::now() + every,
            due: BTreeMap::new(),
        };
        Self {
            every,
            ids: Arc::default(),
            questions: Arc::default(),
            seen: watch::Sender::new(nothing),
            turn: Arc::default(),
        }
    }

    pub(crate) fn take_part(&self, question: String) -> (u64, watch::Receiver<Seen>) {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        self.questions().insert(id, question);
        (id, self.seen.subscribe())
    }

    pub(crate) fn leave(&self, id: u64) {
        self.questions().remove(&id);
    }

    /// Waits until it is time, and looks, unless somebody else has meanwhile.
    pub(crate) async fn next(&self, db: &Database) {
        let at = self.seen.borrow().next_at;
        tokio::time::sleep_until(at).await;
        let _turn = self.turn.lock().await;
        let began = Instant::now();
        if self.seen.borrow().next_at > began {
            return;
        }
        let questions = self.questions().clone();
        let due = ask(db, &questions).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "nobody could look for work");
            BTreeMap::new()
        });
        // Not when it was asked: what is due in so long by then is due later than that.
        let at = Instant::now();
        let due = due.into_iter().map(|(id, wait)| (id, at + wait)).collect();
        let next_at = at + self.every.max((at - began) * SHARE);
        self.seen.send_replace(Seen { next_at, due });
    }

    fn questions(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn ask_one(
    db: &impl ConnectionTrait,
    question: &str,
) -> Result<Option<Duration>, DbErr> {
    let alone = BTreeMap::from([(0, question.to_owned())]);
    Ok(ask(db, &alone).await?.get(&0).copied())
}

/// How long until each of those that ask has something to do; who has nothing is left out.
async fn ask(
    db: &impl ConnectionTrait,
    questions: &BTreeMap<u64, String>,
) -> Result<BTreeMap<u64, Duration>, DbErr> {
    // By their place, and not by their id, so that the statement stays the same as workers come and go.
    let columns: Vec<String> = (0..questions.len())
        .map(|place| format!("due_{place}"))
        .collect();
    let asked: Vec<String> = questions
        .values()
        .zip(&columns)
        .map(|(question, column)| format!("({question}) AS {column}"))
        .collect();
    // Named, for who reads what a server is asked.
    let look = format!("/* what is due */ SELECT {}", asked.join(", "));
    let row = sql::query_one(db, &look, []).await?;
    let mut due = BTreeMap::new();
    if let Some(row) = row {
        for (id, column) in questions.keys().zip(&columns) {
            if let Some(wait_ms) = row.try_get::<Option<i64>>("", column)? {
                due.insert(*id, wait(wait_ms));
            }
        }
    }
    Ok(due)
}

/// One millisecond more than it says, because what is due in 0.4 ms is not due yet.
fn wait(wait_ms: i64) -> Duration {
    match u64::try_from(wait_ms) {
        Ok(0) | Err(_) => Duration::ZERO,
        Ok(wait_ms) => Duration::from_millis(wait_ms + 1),
    }
}
