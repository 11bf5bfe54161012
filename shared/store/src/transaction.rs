//! A transaction on a service's database.
//!
//! Guarantee: it commits only if each of its statements succeeded, because PostgreSQL reports the commit of a failed
//! transaction as a success. It cannot be nested. If a caller cancels it, the pool keeps no open transaction.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait as _,
};

use crate::answer::{ANSWER, answered, answered_within};
use crate::database::Database;
use crate::errors::{AFTER_FAILURE, is_transient};
use crate::sessions::Sessions;
use crate::sql;

/// A rollback is fast, and the end of its connection rolls back as well.
const UNDONE: Duration = Duration::from_secs(5);

/// Statements that commit together. Dropping it without [`commit`](Self::commit) rolls it back.
///
/// ```no_run
/// # async fn place(db: &store::Database) -> Result<(), sea_orm::DbErr> {
/// let transaction = store::Transaction::begin(db).await?;
/// store::sql::execute(&transaction, "DELETE FROM basket WHERE id = $1", [7.into()]).await?;
/// transaction.commit().await
/// # }
/// ```
#[derive(Debug)]
pub struct Transaction {
    inner: DatabaseTransaction,
    sessions: Sessions,
    /// Each statement counts before it is sent, so a failed or cancelled one counts forever.
    without_success: AtomicU32,
    /// The first failure that a repetition of the transaction may not meet.
    passing: Mutex<Option<DbErr>>,
    answer: Mutex<Duration>,
}

impl Transaction {
    /// On SQLite it takes the write lock immediately, because a later lock fails instead of waiting.
    ///
    /// # Errors
    /// If no connection is free in time, or the database is unavailable.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where transactions begin, and no shutdown waits for this task"
    )]
    pub async fn begin(db: &Database) -> Result<Self, DbErr> {
        let mode = sql::is_sqlite(db).then_some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions {
            sqlite_transaction_mode: mode,
            ..TransactionOptions::default()
        };
        // In a task that no caller cancels. If BEGIN is cancelled before its answer, sqlx does not know of the open
        // transaction, and the connection's next statements would be part of it. The limit is inside the task, so that
        // a silent link keeps no place of the pool.
        let pool = db.clone();
        let beginning = tokio::spawn(async move {
            answered(pool.sessions(), pool.begin_with_options(options)).await
        });
        let ended = |_| DbErr::Custom("the transaction did not begin: the process ends".to_owned());
        let begun = beginning.await.map_err(ended)?;
        Ok(Self {
            inner: begun.inspect_err(|error| db.after(error))?,
            sessions: db.sessions().clone(),
            without_success: AtomicU32::new(0),
            passing: Mutex::default(),
            answer: Mutex::new(ANSWER),
        })
    }

    /// Commits.
    ///
    /// # Errors
    /// If a statement failed or was cancelled before, nothing is kept. The error is the statement's if the database was
    /// unavailable, otherwise [`Class::AfterFailure`](crate::Class::AfterFailure). If the database refuses or cannot be
    /// reached, the outcome is unknown.
    pub async fn commit(self) -> Result<(), DbErr> {
        if self.without_success.load(Ordering::Acquire) > 0 {
            let passing = self.passing().take();
            // SQLite may have ended the transaction by itself.
            let _ = self.rollback().await;
            return Err(passing.unwrap_or_else(|| DbErr::Custom(AFTER_FAILURE.to_owned())));
        }
        answered(&self.sessions, self.inner.commit()).await
    }

    /// Sets how long each of the next statements may take, `None` for the default of 15 s. Then the connection counts as
    /// lost.
    pub fn limit_answers(&self, limit: Option<Duration>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = limit.unwrap_or(ANSWER);
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// If the database cannot be reached; it then rolls back by itself.
    pub async fn rollback(self) -> Result<(), DbErr> {
        answered_within(UNDONE, &self.sessions, self.inner.rollback()).await
    }

    async fn watched<T>(&self, answer: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        self.without_success.fetch_add(1, Ordering::AcqRel);
        let limit = *self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answered_within(limit, &self.sessions, answer).await;
        match &answer {
            Ok(_) => {
                self.without_success.fetch_sub(1, Ordering::AcqRel);
            }
            Err(error) if is_transient(error) => {
                self.passing().get_or_insert_with(|| error.clone());
            }
            Err(_) => (),
        }
        answer
    }

    fn passing(&self) -> MutexGuard<'_, Option<DbErr>> {
        self.passing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.watched(self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.watched(self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.watched(self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.watched(self.inner.query_all_raw(statement)).await
    }
}
