//! Whether a consumer has every event, as far as checkpoints show.
//!
//! Guarantee: health is `NOT_SERVING` under `complete` while an event or checkpoint is missing, or a producer is silent
//! or diverged.

use std::time::Duration;

use sea_orm::DbErr;
use store::{Database, sql};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// Producers fall silent without a transaction.
const SIGNAL: &str = "completeness";
const INTERVAL: Duration = Duration::from_secs(5);
/// A time further ahead comes from a wrong clock.
const AHEAD_MS: i64 = 7 * 24 * 3_600_000;

pub(crate) struct Completeness {
    consumer: String,
    complete: watch::Sender<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Incomplete {
    pub(crate) missing: u64,
    pub(crate) gaps: u64,
    pub(crate) silent: u64,
    pub(crate) diverged: u64,
}

fn is_due(column: &str) -> String {
    format!("({column} <= {{time}} OR {column} > {{time + {AHEAD_MS}}})")
}

pub(super) fn question(consumer: &str) -> String {
    let consumer = sql::text(consumer);
    format!(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM angarium_missing WHERE consumer = {consumer} AND missing_since IS NOT NULL)
                       OR EXISTS (SELECT 1 FROM angarium_checkpoint_gap WHERE consumer = {consumer} AND {})
                       OR EXISTS (SELECT 1 FROM angarium_checkpoint_stream WHERE consumer = {consumer} AND diverged_at IS NOT NULL)
                       OR EXISTS (SELECT 1 FROM angarium_checkpoint_stream WHERE consumer = {consumer} AND {}) THEN 0
                     ELSE (SELECT {{ms min(silent_at)}} - {{now}} FROM angarium_checkpoint_stream WHERE consumer = {consumer}) END",
        is_due("due_at"),
        is_due("silent_at")
    )
}

impl Completeness {
    pub(crate) fn new(consumer: &str) -> Self {
        Self {
            consumer: consumer.to_owned(),
            complete: watch::Sender::new(true),
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.complete.subscribe()
    }

    pub(crate) async fn run(&self, store: &Store, stop: &CancellationToken) {
        let mut wakeup = store.wakeup(SIGNAL, question(&self.consumer));
        while !stop.is_cancelled() {
            let known = wakeup.ask().await;
            let pause = match known {
                Ok(known) => {
                    let complete = known != Some(Duration::ZERO);
                    self.complete
                        .send_if_modified(|sent| std::mem::replace(sent, complete) != complete);
                    if complete { known } else { Some(INTERVAL) }
                }
                // Other health names report the database.
                Err(_) => Some(INTERVAL),
            };
            let _ = stop.run_until_cancelled(wakeup.sleep(pause)).await;
        }
    }
}

pub(crate) async fn count(db: &Database) -> Result<Incomplete, DbErr> {
    let counting = format!(
        "SELECT (SELECT count(*) FROM angarium_missing WHERE missing_since IS NOT NULL) AS missing,
                (SELECT cast(coalesce(sum(last_number - first_number + 1), 0) AS bigint) FROM angarium_checkpoint_gap WHERE {}) AS gaps,
                (SELECT count(*) FROM angarium_checkpoint_stream WHERE {}) AS silent,
                (SELECT count(*) FROM angarium_checkpoint_stream WHERE diverged_at IS NOT NULL) AS diverged",
        is_due("due_at"),
        is_due("silent_at")
    );
    let Some(row) = sql::query_one(db, &counting, []).await? else {
        return Ok(Incomplete::default());
    };
    let number = |column| -> Result<u64, DbErr> {
        let number: i64 = row.try_get("", column)?;
        Ok(u64::try_from(number).unwrap_or(0))
    };
    Ok(Incomplete {
        missing: number("missing")?,
        gaps: number("gaps")?,
        silent: number("silent")?,
        diverged: number("diverged")?,
    })
}
