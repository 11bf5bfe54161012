//! A service's database, as the engine uses it. Every writing transaction begins here.
//!
//! Guarantee: a command waits for at most two seconds to begin, and is refused while the outbox is over its budget. The
//! relay has its own connection, so commands cannot starve it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sea_orm::{ConnAcquireErr, DbErr};
use store::{Database, DatabaseConfig, DatabaseError, Doubt, sql};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::backlog::{Backlog, OverBudget};
use crate::signals::Signals;
use crate::telemetry;
use crate::telemetry::System;
use crate::transaction::Transaction;
use crate::waits::Waits;
use crate::wakeup::{Looks, Wakeup};

/// Behind many other writers it is better to refuse a caller.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Longer than for a caller, because the relay would only retry.
const RELAY_WAIT: Duration = Duration::from_secs(15);

/// For work without a signal: from another process, or from one that died.
const LOOK: Duration = Duration::from_secs(5);

/// A service's database. Clones share their signals.
#[derive(Clone)]
pub struct Store {
    db: Database,
    relay: Database,
    signals: Signals,
    /// SQLite has one writer. Waiting here is fair and costs no pooled connection, unlike waiting in SQLite.
    writers: Option<Arc<Semaphore>>,
    looks: Looks,
    backlog: Backlog,
    doubt: Doubt,
    waits: Waits,
    system: Arc<OnceLock<System>>,
}

/// Why a command cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// Too many events wait to be published.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// No connection is free in time, or the database is unavailable.
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl Store {
    /// Connects to a service's own database, and retries for the configured patience. `service` names the connections.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn connect(config: &DatabaseConfig, service: &str) -> Result<Self, DatabaseError> {
        let doubt = Doubt::new();
        let db = store::connect_watched(config, service, &doubt).await?;
        let only = DatabaseConfig {
            pool_max: 1,
            acquire_timeout: RELAY_WAIT,
            ..config.clone()
        };
        let relay = store::connect_watched(&only, &format!("{service} relay"), &doubt).await?;
        Ok(Self {
            relay,
            doubt,
            ..Self::new(db)
        })
    }

    /// The relay shares the pool.
    pub fn new(db: Database) -> Self {
        let writers = sql::is_sqlite(&db).then(|| Arc::new(Semaphore::new(1)));
        Self {
            relay: db.clone(),
            db,
            signals: Signals::default(),
            writers,
            looks: Looks::new(LOOK),
            backlog: Backlog::default(),
            doubt: Doubt::new(),
            waits: Waits::new(),
            system: Arc::default(),
        }
    }

    /// Sets the interval of polls, for tests.
    #[doc(hidden)]
    pub fn looking_every(mut self, pause: Duration) -> Self {
        self.looks = Looks::new(pause);
        self
    }

    /// Raised by each failed statement or commit, for the health check.
    pub fn doubt(&self) -> Doubt {
        self.doubt.clone()
    }

    /// Whether the consumer can use this database: `false` while events wait for it.
    pub fn consuming(&self) -> watch::Receiver<bool> {
        self.waits.watch()
    }

    pub(crate) fn waits(&self) -> &Waits {
        &self.waits
    }

    /// For reads, and for single statements.
    pub fn connection(&self) -> &Database {
        &self.db
    }

    pub(crate) fn relay(&self) -> &Database {
        &self.relay
    }

    /// Begins a writing transaction; without [`Transaction::commit`] it rolls back.
    ///
    /// # Errors
    /// If no connection is free in time, or the database is unavailable.
    pub async fn begin(&self) -> Result<Transaction, DbErr> {
        let writer = self.turn_to_write().await?;
        let begun = store::Transaction::begin(&self.db).await;
        let inner = begun.inspect_err(|_| self.doubt.raise())?;
        let (signals, doubt) = (self.signals.clone(), self.doubt());
        Ok(Transaction::new(
            inner,
            signals,
            doubt,
            self.system().cloned(),
            writer,
        ))
    }

    /// As [`begin`](Self::begin), but refused while the outbox is over its budget.
    ///
    /// # Errors
    /// [`BeginError::OverBudget`], or as `begin`.
    pub async fn begin_command(&self) -> Result<Transaction, BeginError> {
        self.backlog.check()?;
        // The span includes the wait for a connection. Polls get no span, so that an idle service leaves none.
        let span = if Span::current().is_disabled() {
            Span::none()
        } else {
            tracing::debug_span!("transaction", otel.kind = "client")
        };
        let sqlite = sql::is_sqlite(&self.db);
        span.set_attribute(
            "db.system.name",
            if sqlite { "sqlite" } else { "postgresql" },
        );
        let begun = tokio::time::timeout(LONGEST_WAIT, self.begin()).await;
        // The caller may retry.
        let transaction = begun
            .unwrap_or(Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)))
            .inspect_err(|_| telemetry::fail(&span, "unavailable"))?;
        Ok(transaction.in_span(span))
    }

    pub(crate) fn publishes_to(&self, system: System) {
        // Only tests create a second engine on a store, with the same broker.
        let _ = self.system.set(system);
    }

    pub(crate) fn system(&self) -> Option<&System> {
        self.system.get()
    }

    pub(crate) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Waits for the turn to write, for a single statement on a store with one writer. Dropping the permit ends the
    /// turn.
    ///
    /// # Errors
    /// Never while the store is in use.
    pub async fn turn_to_write(&self) -> Result<Option<OwnedSemaphorePermit>, DbErr> {
        let Some(writers) = &self.writers else {
            return Ok(None);
        };
        let turn = Arc::clone(writers).acquire_owned().await;
        turn.map(Some)
            .map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))
    }

    /// The wakeups of a worker: by `signal` ([`Transaction::wake_on_commit`]), and by `question`, a query with one
    /// value: the milliseconds until there is work (zero or less: now, null: none). `{now}` in it is the time. It runs
    /// every 5 s with those of all other workers, so it must use an index.
    pub fn wakeup(&self, signal: &'static str, question: impl Into<String>) -> Wakeup {
        let (db, looks) = (self.db.clone(), self.looks.clone());
        Wakeup::new(db, looks, self.signal(signal), question.into())
    }

    /// Raised by [`Transaction::wake_on_commit`] with `name`.
    pub fn signal(&self, name: &'static str) -> Arc<Notify> {
        self.signals.of(name)
    }
}
