//! The shared poll of a service's workers: one statement with each worker's query, executed by the first that is awake.
//!
//! No worker owns it: a relay that waits for its broker blocks no other, and a signal for the worker that begins a poll does
//! not cancel it (the sessions of the pool would be in doubt). An unavailable database only means that the poll found
//! nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};
use store::Database;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use store::sql;

/// Clones share it.
#[derive(Clone)]
pub(crate) struct Looks {
    every: Duration,
    ids: Arc<AtomicU64>,
    questions: Arc<Mutex<BTreeMap<u64, String>>>,
    seen: watch::Sender<Seen>,
    turn: Arc<tokio::sync::Mutex<()>>,
    polls: Arc<Mutex<JoinSet<()>>>,
}

/// The most of the time that polls take, even if dead rows of an old snapshot make them slow.
const SHARE: u32 = 20;

pub(crate) struct Seen {
    next_at: Instant,
    due: BTreeMap<u64, Instant>,
}

impl Seen {
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
            polls: Arc::default(),
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

    /// Begins the next poll when its time has come. All workers see its result.
    pub(crate) async fn next(&self, db: &Database) {
        let at = self.seen.borrow().next_at;
        tokio::time::sleep_until(at).await;
        let turn = Arc::clone(&self.turn).lock_owned().await;
        if self.seen.borrow().next_at > Instant::now() {
            return;
        }
        let (looks, db) = (self.clone(), db.clone());
        let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        while polls.try_join_next().is_some() {}
        polls.spawn(async move {
            looks.poll(&db).await;
            drop(turn);
        });
    }

    async fn poll(&self, db: &Database) {
        let began = Instant::now();
        let questions = self.questions().clone();
        let due = ask(db, &questions).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "the poll for due work failed");
            BTreeMap::new()
        });
        // After the answer: the times count from the query's execution, so this is never too early.
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

async fn ask(
    db: &impl ConnectionTrait,
    questions: &BTreeMap<u64, String>,
) -> Result<BTreeMap<u64, Duration>, DbErr> {
    // By position, so that the statement stays the same when workers change.
    let columns: Vec<String> = (0..questions.len())
        .map(|place| format!("due_{place}"))
        .collect();
    let asked: Vec<String> = questions
        .values()
        .zip(&columns)
        .map(|(question, column)| format!("({question}) AS {column}"))
        .collect();
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

/// Plus one millisecond: 0.4 ms left is not due yet.
fn wait(wait_ms: i64) -> Duration {
    match u64::try_from(wait_ms) {
        Ok(0) | Err(_) => Duration::ZERO,
        Ok(wait_ms) => Duration::from_millis(wait_ms + 1),
    }
}
