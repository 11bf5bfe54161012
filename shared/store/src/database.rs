//! A pool of connections to one database.
//!
//! Guarantee: each statement is answered within a time limit. The session of a cancelled one is checked before its next
//! use.

use std::ops::Deref;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement,
};

use crate::answer::answered;
use crate::errors::{is_rolled_back, is_unavailable};
use crate::rotation::Rotation;
use crate::sessions::Sessions;
use crate::sql;

/// More than the connections of a SQLite pool. Each has the old schema once.
const OUTDATED: u32 = 20;

/// sea-orm's pool with a time limit for each statement. Clones share it.
///
/// Transactions start with [`Transaction::begin`](crate::Transaction::begin).
#[derive(Clone, Debug)]
pub struct Database {
    inner: DatabaseConnection,
    sessions: Sessions,
    rotation: Option<Rotation>,
}

impl Database {
    pub(crate) fn with_sessions(inner: DatabaseConnection, sessions: Sessions) -> Self {
        Self {
            inner,
            sessions,
            rotation: None,
        }
    }

    pub(crate) fn rotated_by(mut self, rotation: Option<Rotation>) -> Self {
        self.rotation = rotation;
        self
    }

    pub(crate) fn refresh_url(&self) {
        if let Some(rotation) = &self.rotation {
            rotation.refresh(&self.inner);
        }
    }

    /// Closes all connections after their callers have returned them.
    pub async fn close(self) -> Result<(), DbErr> {
        self.inner.close().await
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }
}

impl Database {
    /// After another process has changed the schema, SQLite rolls back each connection's first statement and repeats
    /// it. [`guarded`](crate::guarded) takes that for a lost transaction and refuses it. Nothing of it is kept, so it
    /// is repeated here.
    async fn alone<T, A>(
        &self,
        statement: Statement,
        ask: impl Fn(Statement) -> A,
    ) -> Result<T, DbErr>
    where
        A: Future<Output = Result<T, DbErr>>,
    {
        if !sql::is_sqlite(&self.inner) {
            let answer = answered(&self.sessions, ask(statement)).await;
            return answer.inspect_err(|error| self.after(error));
        }
        for _ in 0..OUTDATED {
            match answered(&self.sessions, ask(statement.clone())).await {
                Err(error) if is_rolled_back(&error) => (),
                answer => return answer,
            }
        }
        answered(&self.sessions, ask(statement)).await
    }

    /// A rotated password may be the cause; the next connection uses the new one.
    pub(crate) fn after(&self, error: &DbErr) {
        if is_unavailable(error) {
            self.refresh_url();
        }
    }
}

impl Default for Database {
    /// No database: each statement fails. For programs without one.
    fn default() -> Self {
        DatabaseConnection::default().into()
    }
}

impl From<DatabaseConnection> for Database {
    fn from(inner: DatabaseConnection) -> Self {
        Self::with_sessions(inner, Sessions::default())
    }
}

impl Deref for Database {
    type Target = DatabaseConnection;

    fn deref(&self) -> &DatabaseConnection {
        &self.inner
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Database {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.alone(statement, |statement| self.inner.execute_raw(statement))
            .await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let answer = self.inner.execute_unprepared(sql);
        answered(&self.sessions, answer).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.alone(statement, |statement| self.inner.query_one_raw(statement))
            .await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.alone(statement, |statement| self.inner.query_all_raw(statement))
            .await
    }
}
