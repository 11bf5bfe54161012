//! A writing transaction on a service's database: state, outbox rows and inbox row together.
//!
//! Guarantee: enqueued events are written right before COMMIT, which fails unless the transaction is alive. A commit
//! wakes all workers that wait for what it wrote.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use store::Doubt;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::outbox::enqueued::{self, Enqueued};
use crate::signals::Signals;
use crate::telemetry::{self, System};

/// From [`Store::begin`] or [`Store::begin_command`]; dropping it rolls it back.
///
/// sea-orm queries take it as `&transaction`. It cannot be nested.
pub struct Transaction {
    inner: store::Transaction,
    signals: Signals,
    doubt: Doubt,
    system: Option<System>,
    collected: Mutex<Collected>,
    /// The engine's own work is traced by event.
    span: Span,
    // Last, so that it is released after the transaction has ended.
    _writer: Option<OwnedSemaphorePermit>,
}

#[derive(Default)]
struct Collected {
    events: Vec<Enqueued>,
    wakes: BTreeSet<&'static str>,
}

impl Transaction {
    pub(crate) fn new(
        inner: store::Transaction,
        signals: Signals,
        doubt: Doubt,
        system: Option<System>,
        writer: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            inner,
            signals,
            doubt,
            system,
            collected: Mutex::default(),
            span: Span::none(),
            _writer: writer,
        }
    }

    pub(crate) fn in_span(mut self, span: Span) -> Self {
        self.span = span;
        self
    }

    /// Writes the enqueued events, commits, and wakes the waiting workers.
    ///
    /// # Errors
    /// If the database refuses or an earlier statement has failed. If the database cannot be reached, the outcome is
    /// unknown.
    pub async fn commit(self) -> Result<(), DbErr> {
        let Self {
            inner,
            signals,
            doubt,
            collected,
            span,
            system: _,
            _writer,
        } = self;
        let Collected { events, wakes } = collected
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let committing = async {
            enqueued::insert(&inner, events).await?;
            inner.commit().await
        };
        committing.instrument(span.clone()).await.inspect_err(|_| {
            doubt.raise();
            telemetry::fail(&span, "not_committed");
        })?;
        span.set_attribute(telemetry::OUTCOME, "committed");
        for name in wakes {
            signals.of(name).notify_one();
        }
        Ok(())
    }

    /// Writes the enqueued events now, for tests.
    ///
    /// # Errors
    /// If the database refuses.
    #[doc(hidden)]
    pub async fn write_early(&self) -> Result<(), DbErr> {
        let events = std::mem::take(&mut self.collected().events);
        enqueued::insert(&self.inner, events).await
    }

    pub(crate) fn limit_answers(&self, limit: Option<Duration>) {
        self.inner.limit_answers(limit);
    }

    /// Rolls back, and waits for the answer.
    ///
    /// # Errors
    /// If the database cannot be reached; it then rolls back by itself.
    pub async fn rollback(self) -> Result<(), DbErr> {
        self.inner.rollback().await
    }

    /// Raises the signal `name` if and when this transaction commits.
    pub fn wake_on_commit(&self, name: &'static str) {
        self.collected().wakes.insert(name);
    }

    pub(crate) fn collect(&self, event: Enqueued) {
        let mut collected = self.collected();
        collected.wakes.insert(enqueued::SIGNAL);
        collected.events.push(event);
    }

    pub(crate) fn take_back(&self, is_meant: impl Fn(&Enqueued) -> bool) -> bool {
        let mut collected = self.collected();
        let before = collected.events.len();
        collected.events.retain(|event| !is_meant(event));
        collected.events.len() < before
    }

    pub(crate) fn system(&self) -> Option<&System> {
        self.system.as_ref()
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    fn collected(&self) -> MutexGuard<'_, Collected> {
        self.collected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.inner.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.inner.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.inner.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.inner.query_all_raw(statement).await
    }
}
