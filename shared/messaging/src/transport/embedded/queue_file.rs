//! The SQLite file of the embedded transport: the messages of each queue in order.
//!
//! Only the memory knows which messages a receiver has: after the process ends, all are in their queues again. The
//! number of deliveries is stored, so that a message that kills the process is not delivered forever. On a full disk,
//! publishing and consuming fail and retry.

mod declared;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::Message;
use sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sea_orm::sqlx::{self, ConnectOptions as _};
use sea_orm::{DbErr, SqlxSqliteConnector};
use store::{Database, Transaction, guarded};
use tokio::sync::watch;

use crate::stored;
use crate::transport::{Binding, TransportError, dead_letter_queue};
use store::sql;

/// A child process that is just starting holds its parent's files for a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_LOOK: Duration = Duration::from_millis(20);

pub(super) struct QueueFile {
    db: Database,
    state: Mutex<State>,
    _lock: File,
}

#[derive(Default)]
struct State {
    bindings: BTreeMap<String, Vec<Binding>>,
    delivery_limits: HashMap<String, i64>,
    taken: HashSet<i64>,
    arrivals: HashMap<String, watch::Sender<()>>,
}

pub(super) struct Taken {
    pub(super) id: i64,
    pub(super) deliveries: i64,
    pub(super) message: Message,
}

impl QueueFile {
    pub(super) async fn open(path: &Path) -> Result<Self, TransportError> {
        let action = || format!("opening the queue file {}", path.display());
        let fail = |error: std::io::Error| TransportError::new(action(), error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(fail)?;
        }
        let lock = File::create(path.with_extension("lock")).map_err(fail)?;
        if !locked(&lock).await {
            return Err(TransportError::new(
                action(),
                "another process has it open; stop it, or use another data folder",
            ));
        }
        let db = connect(path)
            .await
            .map_err(|error| TransportError::new(action(), guarded::explain(&error)))?;
        let file = Self {
            db,
            state: Mutex::default(),
            _lock: lock,
        };
        file.load()
            .await
            .map_err(|error| TransportError::new(action(), error))?;
        Ok(file)
    }

    /// Returns for each message whether any queue takes it.
    pub(super) async fn append(&self, messages: &[Message]) -> Result<Vec<bool>, DbErr> {
        let routes: Vec<Vec<String>> = messages.iter().map(|message| self.route(message)).collect();
        let transaction = Transaction::begin(&self.db).await?;
        for (message, queues) in messages.iter().zip(&routes) {
            for queue in queues {
                insert(&transaction, queue, message).await?;
            }
        }
        transaction.commit().await?;
        for queue in routes.iter().flatten() {
            self.announce(queue);
        }
        Ok(routes.iter().map(|queues| !queues.is_empty()).collect())
    }

    /// From the head of `queue`, without those that a receiver has.
    pub(super) async fn take(&self, queue: &str, limit: usize) -> Result<Vec<Taken>, DbErr> {
        let taken = self.state().taken.clone();
        let rows = sql::query_all(
            &self.db,
            "SELECT id, exchange, routing_key, properties, body, cast(deliveries AS integer) AS deliveries
             FROM message WHERE queue = $2 AND id {not in numbers $1} ORDER BY id LIMIT $3",
            [
                sql::numbers(taken),
                queue.into(),
                i64::try_from(limit).unwrap_or(i64::MAX).into(),
            ],
        )
        .await?;
        let mut messages = Vec::with_capacity(rows.len());
        for row in &rows {
            let deliveries = row.try_get("", "deliveries")?;
            messages.push(Taken {
                id: row.try_get("", "id")?,
                deliveries,
                message: stored::message(row),
            });
        }
        // Two receivers may have read the same rows: the first one gets them.
        let mut state = self.state();
        messages.retain(|message| state.taken.insert(message.id));
        Ok(messages)
    }

    /// Idempotent, because a cancelled caller does not know whether it was recorded.
    pub(super) async fn count_delivery(&self, taken: &[Taken]) -> Result<(), DbErr> {
        let mut by_count: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for message in taken {
            by_count
                .entry(message.deliveries)
                .or_default()
                .push(message.id);
        }
        let counting = "UPDATE message SET deliveries = $2 + 1
                        WHERE id {in numbers $1} AND cast(deliveries AS integer) = $2";
        for (deliveries, ids) in by_count {
            let values = [sql::numbers(ids), deliveries.into()];
            sql::execute(&self.db, counting, values).await?;
        }
        Ok(())
    }

    pub(super) async fn dead_letter(&self, queue: &str, ids: &[i64]) -> Result<(), DbErr> {
        let target = dead_letter_queue(queue);
        let moving = "UPDATE message SET queue = $2, deliveries = 0 WHERE id {in numbers $1}";
        sql::execute(
            &self.db,
            moving,
            [sql::numbers(ids.iter().copied()), target.as_str().into()],
        )
        .await?;
        self.give_back(ids.iter().copied());
        self.announce(&target);
        Ok(())
    }

    pub(super) async fn remove(&self, ids: &[i64]) -> Result<(), DbErr> {
        sql::execute(
            &self.db,
            "DELETE FROM message WHERE id {in numbers $1}",
            [sql::numbers(ids.iter().copied())],
        )
        .await?;
        self.give_back(ids.iter().copied());
        Ok(())
    }

    pub(super) fn give_back(&self, ids: impl IntoIterator<Item = i64>) {
        let mut state = self.state();
        for id in ids {
            state.taken.remove(&id);
        }
    }

    pub(super) fn delivery_limit(&self, queue: &str) -> i64 {
        self.state()
            .delivery_limits
            .get(queue)
            .copied()
            .unwrap_or(i64::MAX)
    }

    pub(super) fn arrivals(&self, queue: &str) -> watch::Receiver<()> {
        self.state()
            .arrivals
            .entry(queue.to_owned())
            .or_default()
            .subscribe()
    }

    pub(super) fn announce(&self, queue: &str) {
        if let Some(arrivals) = self.state().arrivals.get(queue) {
            arrivals.send_replace(());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `false`: another process keeps it.
async fn locked(file: &File) -> bool {
    let locking = async {
        while file.try_lock().is_err() {
            tokio::time::sleep(LOCK_LOOK).await;
        }
    };
    tokio::time::timeout(LOCK_PATIENCE, locking).await.is_ok()
}

async fn connect(path: &Path) -> Result<Database, sqlx::Error> {
    // FULL: a confirm must survive a power cut.
    // SQLite reads a relative path that begins with `file:` as a URL.
    let path = std::path::absolute(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging();
    // A queue has one order, and SQLite one writer.
    let pool = guarded::guarded(SqlitePoolOptions::new())
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(10))
        .connect_with(options)
        .await?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool).into())
}

async fn insert(
    db: &impl sea_orm::ConnectionTrait,
    queue: &str,
    message: &Message,
) -> Result<(), DbErr> {
    sql::execute(
        db,
        "INSERT INTO message (queue, exchange, routing_key, properties, body) VALUES ($1, $2, $3, $4, $5)",
        [
            queue.into(),
            message.exchange.as_str().into(),
            message.routing_key.as_str().into(),
            stored::properties(message).into(),
            message.body.to_vec().into(),
        ],
    )
    .await?;
    Ok(())
}
