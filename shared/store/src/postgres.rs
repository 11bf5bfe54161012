//! PostgreSQL: a bounded pool, optionally with our own schema in a shared database.

use std::time::Duration;

use crate::doubt::Doubt;
use sea_orm::SqlxPostgresConnector;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, Executor};

use crate::config::DatabaseConfig;
use crate::database::Database;
use crate::pooler::lends_sessions;
use crate::sessions::Sessions;

pub(crate) mod options;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One that hangs must not keep its connection: a caller that gives up cannot take it back.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(20);
/// Ends the transaction of a stopped process, and so releases its locks. A handler may pause for 30 s between two
/// statements. With the retry on another replica, this stays below a minute.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(40);
/// The same for a lost network or machine. The server ends a silent session after 10 s and three unanswered probes, or
/// 30 s after the first byte that was not received.
const LOST_CLIENT: &str = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; \
    SET tcp_keepalives_count = 3; SET tcp_user_timeout = 30000";
/// The same in every replica; see [`create_schema`].
const SCHEMA_LOCK: i64 = 0x616e_6761_7269_0001;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    Usable,
    /// A pooler lends a session to one transaction after another.
    LentSessions,
}

/// On a separate connection, because a pool that cannot connect reports a time-out instead of the cause.
pub(crate) async fn reach(
    options: &PgConnectOptions,
    schema: Option<&str>,
) -> Result<Reached, sqlx::Error> {
    let attempt = async {
        let mut connection = PgConnection::connect_with(options).await?;
        // Prepared statements fail with misleading errors behind such a pooler.
        if lends_sessions(&mut connection, options).await? {
            return Ok(Reached::LentSessions);
        }
        if let Some(schema) = schema {
            create_schema(&mut connection, schema).await?;
        }
        connection.close().await?;
        Ok(Reached::Usable)
    };
    let timed_out = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    let finished = tokio::time::timeout(CONNECT_TIMEOUT, attempt).await;
    finished.map_err(timed_out)?
}

/// It connects on first use: [`reach`] has shown that it can.
pub(crate) fn pool(config: &DatabaseConfig, options: PgConnectOptions, doubt: &Doubt) -> Database {
    let settings = settings(config.schema.as_deref());
    let sessions = Sessions::watched(doubt.clone());
    let (taken, given_back) = (sessions.clone(), sessions.clone());
    let pool = PgPoolOptions::new()
        .max_connections(config.pool_max)
        .acquire_timeout(config.acquire_timeout)
        .after_connect(move |connection, _| {
            let settings = settings.clone();
            Box::pin(async move {
                connection.execute(AssertSqlSafe(settings)).await?;
                Ok(())
            })
        })
        .test_before_acquire(false)
        .before_acquire(move |connection, seen| {
            let sessions = taken.clone();
            Box::pin(async move { Ok(sessions.may_be_used(connection, &seen).await) })
        })
        .after_release(move |connection, session| {
            let sessions = given_back.clone();
            Box::pin(async move { sessions.may_return(connection, session.age).await })
        });
    let db = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.connect_lazy_with(options));
    Database::with_sessions(db, sessions)
}

/// Statements, not start-up parameters, because poolers refuse those.
fn settings(schema: Option<&str>) -> String {
    let mut settings = format!(
        "SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}; {LOST_CLIENT}",
        STATEMENT_TIMEOUT.as_millis(),
        IDLE_IN_TRANSACTION_TIMEOUT.as_millis(),
    );
    if let Some(schema) = schema {
        settings.push_str(&format!("; SET search_path = {schema}"));
    }
    settings
}

/// `IF NOT EXISTS` needs the right to create even if the schema exists, hence the check. Under a lock: of two replicas
/// that start together one would fail.
async fn create_schema(connection: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    let found = sqlx::query("SELECT 1 FROM pg_namespace WHERE nspname = $1")
        .bind(schema)
        .fetch_optional(&mut *connection)
        .await?;
    if found.is_some() {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(SCHEMA_LOCK)
        .execute(&mut *transaction)
        .await?;
    // `options` has refused every name that is not plain.
    let statement = format!("CREATE SCHEMA IF NOT EXISTS {schema}");
    transaction.execute(AssertSqlSafe(statement)).await?;
    transaction.commit().await
}
