//! A service's database as the engine uses it: where every writing transaction begins and ends.
//!
//! Guarantees: a transaction that commits wakes whoever waits for what it wrote (the relay, deferred deliveries, a service's
//! own worker), and no one else has to remember to. On SQLite a transaction takes the write lock at its beginning, because a
//! lock taken later fails at once instead of waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    RuntimeErr, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use store::Doubt;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::backlog::{Backlog, OverBudget};
use crate::due::{Due, Looks};
use crate::telemetry::System;
use crate::{faults, sql, telemetry};

/// How long a command waits to begin. Behind others that write, a caller is better told than kept.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How often a service looks for work without having been told of any: for what another process has committed or left.
const LOOK: Duration = Duration::from_secs(5);

/// A service's database. Cheap to clone; clones share their signals.
#[derive(Clone)]
pub struct Store {
    db: DatabaseConnection,
    signals: Arc<Mutex<BTreeMap<&'static str, Arc<Notify>>>>,
    /// SQLite has one writer. Waiting here is fair and costs no pooled connection; waiting in SQLite is neither.
    writers: Option<Arc<Semaphore>>,
    looks: Looks,
    backlog: Backlog,
    doubt: Doubt,
    /// Where events go, for the traces: known once there is an engine.
    system: Arc<OnceLock<System>>,
}

/// Why a command cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// Too much waits to be published.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// No connection can be had in time, or the database is away.
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl Store {
    /// Wraps the connection pool of one service's own database.
    pub fn new(db: DatabaseConnection) -> Self {
        Self::watched(db, Doubt::new())
    }

    /// As [`new`](Self::new). Each transaction that cannot begin or commit raises `doubt`; the pool behind `db` raises it for each
    /// failed statement.
    pub fn watched(db: DatabaseConnection, doubt: Doubt) -> Self {
        let writers = is_sqlite(&db).then(|| Arc::new(Semaphore::new(1)));
        Self {
            db,
            signals: Arc::default(),
            writers,
            looks: Looks::new(LOOK),
            backlog: Backlog::default(),
            doubt,
            system: Arc::default(),
        }
    }

    /// As it is, but looking for work as often as this instead of every 5 s. For tests that must not wait, or not be saved by it.
    #[doc(hidden)]
    pub fn looking_every(mut self, pause: Duration) -> Self {
        self.looks = Looks::new(pause);
        self
    }

    /// Raised whenever a statement or a commit on this database fails, for the service's health check.
    pub fn doubt(&self) -> Doubt {
        self.doubt.clone()
    }

    /// For reading, and for statements that stand alone.
    pub fn connection(&self) -> &DatabaseConnection {
        &self.db
    }

    /// Begins a writing transaction. Dropping it without [`Transaction::commit`] rolls it back.
    ///
    /// # Errors
    /// Where no connection can be had in time, or the database is away.
    pub async fn begin(&self) -> Result<Transaction, DbErr> {
        let writer = self.turn_to_write().await?;
        let mode = self
            .writers
            .as_ref()
            .map(|_| SqliteTransactionMode::Immediate);
        let options = TransactionOptions {
            sqlite_transaction_mode: mode,
            ..TransactionOptions::default()
        };
        Ok(Transaction {
            inner: sql::answered(self.db.begin_with_options(options))
                .await
                .inspect_err(|_| self.doubt.raise())?,
            store: self.clone(),
            wakes: Mutex::default(),
            span: Span::none(),
            _writer: writer,
        })
    }

    /// As [`begin`](Self::begin), for what a caller asks for: refused while the outbox is over its budget.
    ///
    /// # Errors
    /// [`BeginError::OverBudget`], or as `begin`.
    pub async fn begin_command(&self) -> Result<Transaction, BeginError> {
        self.backlog.check()?;
        // Begun before the wait for a connection, which is part of what a caller waits for. Nobody waits for a worker that
        // looks for something to do, and an idle service is to leave no spans.
        let span = if Span::current().is_disabled() {
            Span::none()
        } else {
            tracing::debug_span!("transaction", otel.kind = "client")
        };
        let sqlite = is_sqlite(&self.db);
        span.set_attribute(
            "db.system.name",
            if sqlite { "sqlite" } else { "postgresql" },
        );
        let begun = tokio::time::timeout(LONGEST_WAIT, self.begin()).await;
        // As where no connection is free in time: the caller may try again.
        let mut transaction = begun
            .unwrap_or(Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)))
            .inspect_err(|_| telemetry::fail(&span, "unavailable"))?;
        transaction.span = span;
        faults::point("begun");
        Ok(transaction)
    }

    /// From here on traces name the broker that events go to.
    pub(crate) fn publishes_to(&self, system: System) {
        // A second engine on the same store is a test's, on the same broker.
        let _ = self.system.set(system);
    }

    pub(crate) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Waits for this caller's turn to write, where the store has a single writer. For a statement that stands alone.
    pub(crate) async fn turn_to_write(&self) -> Result<Option<OwnedSemaphorePermit>, DbErr> {
        let Some(writers) = &self.writers else {
            return Ok(None);
        };
        let turn = Arc::clone(writers).acquire_owned().await;
        turn.map(Some)
            .map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))
    }

    /// When a worker has something to do: when a transaction raises `signal` ([`Transaction::wake_on_commit`]), and by `question`,
    /// a query whose one value says in how many milliseconds: zero or less where there is something, null where nothing will be.
    /// `{now}` in it is the time. It is asked every 5 s together with those of all other workers, so it has to find its answer by
    /// an index.
    pub fn due(&self, signal: &'static str, question: impl Into<String>) -> Due {
        Due::new(self, signal, question.into())
    }

    pub(crate) fn looks(&self) -> &Looks {
        &self.looks
    }

    /// The signal that [`Transaction::wake_on_commit`] raises under `name`, for a worker that waits for rows.
    pub fn signal(&self, name: &'static str) -> Arc<Notify> {
        let mut signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(signals.entry(name).or_default())
    }
}

/// A writing transaction on a service's database.
///
/// Holds everything that must happen together: state, outbox rows, inbox row. Reads and writes through sea-orm take it as
/// `&*transaction`.
pub struct Transaction {
    inner: DatabaseTransaction,
    store: Store,
    wakes: Mutex<BTreeSet<&'static str>>,
    /// Of a command; none of what the engine does by itself, which is traced by event.
    span: Span,
    // Last, so that it is given back only once the transaction above is over.
    _writer: Option<OwnedSemaphorePermit>,
}

impl Transaction {
    /// Commits, then wakes whoever waits for what was written.
    ///
    /// # Errors
    /// Where the database refuses (also because a statement has failed before, whoever has looked away) or cannot be reached.
    /// The outcome is then unknown to the caller, as with any commit.
    pub async fn commit(self) -> Result<(), DbErr> {
        let committing = commit(self.inner).instrument(self.span.clone());
        committing.await.inspect_err(|_| {
            self.store.doubt.raise();
            telemetry::fail(&self.span, "not_committed");
        })?;
        self.span.set_attribute(telemetry::OUTCOME, "committed");
        for name in self
            .wakes
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            self.store.signal(name).notify_one();
        }
        Ok(())
    }

    /// Undoes everything, and waits until it is undone.
    ///
    /// # Errors
    /// Where the database cannot be reached; it then undoes the transaction by itself.
    pub async fn rollback(self) -> Result<(), DbErr> {
        sql::answered_within(sql::UNDONE, self.inner.rollback()).await
    }

    pub(crate) fn system(&self) -> Option<&System> {
        self.store.system.get()
    }

    /// The span of the command that this transaction is; none elsewhere.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Raises the signal `name` if and when this transaction commits.
    pub fn wake_on_commit(&self, name: &'static str) {
        self.wakes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name);
    }
}

impl Deref for Transaction {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.inner
    }
}

async fn commit(transaction: DatabaseTransaction) -> Result<(), DbErr> {
    // PostgreSQL answers the COMMIT of a transaction in which a statement has failed with ROLLBACK, and calls that a
    // success. Any statement before it fails.
    if is_sqlite(&transaction) {
        sql::answered(is_still_open(&transaction)).await?;
    } else {
        sql::answered(transaction.execute_unprepared("SELECT 1")).await?;
    }
    sql::answered(transaction.commit()).await
}

/// If a caller cancels the start of a nested transaction, the driver ends the outer one. COMMIT of the outer one then does nothing
/// and reports success. SQLite itself knows the state: it refuses BEGIN inside a transaction.
async fn is_still_open(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    match transaction.execute_unprepared("BEGIN").await {
        Err(error) if sql::is_within_transaction(&error) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => {
            transaction.execute_unprepared("ROLLBACK").await?;
            let ended = "the transaction had ended before its commit, and nothing of it is kept";
            Err(DbErr::Conn(RuntimeErr::Internal(ended.to_owned())))
        }
    }
}

pub(crate) fn is_sqlite(db: &impl ConnectionTrait) -> bool {
    db.get_database_backend() == DbBackend::Sqlite
}
