//! PostgreSQL: a bounded pool, and optionally a schema of our own in a database that we share.

use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, Executor};
use sea_orm::{DatabaseConnection, SqlxPostgresConnector};
use secrecy::ExposeSecret;

use super::DatabaseError;
use crate::config::{DatabaseConfig, is_plain_identifier};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// No statement of ours takes long. One that hangs must not keep its connection: a caller who gives up cannot take it back.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(20);
/// For a connection on its way back into the pool.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// Any number, but the same in every replica; see [`create_schema`].
const SCHEMA_LOCK: i64 = 0x616e_6761_7269_0001;

pub(super) fn options(
    config: &DatabaseConfig,
    application_name: &str,
) -> Result<PgConnectOptions, DatabaseError> {
    let schema = config.schema.as_deref();
    if let Some(schema) = schema.filter(|schema| !is_plain_identifier(schema)) {
        let reason = format!("{schema:?} is no name for a schema");
        return Err(DatabaseError::Invalid(reason));
    }
    let options = PgConnectOptions::from_str(config.url.expose_secret());
    // The parser's own words may repeat parts of the URL.
    let options = options.map_err(|_| DatabaseError::Invalid("its URL is malformed".to_owned()))?;
    Ok(options.application_name(application_name))
}

/// Whether the server lets us in, and our schema is there. A connection of its own, because a pool that cannot connect
/// reports a time-out instead of the reason.
pub(super) async fn reach(
    options: &PgConnectOptions,
    schema: Option<&str>,
) -> Result<(), sqlx::Error> {
    let attempt = async {
        let mut connection = PgConnection::connect_with(options).await?;
        if let Some(schema) = schema {
            create_schema(&mut connection, schema).await?;
        }
        connection.close().await
    };
    let timed_out = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    let finished = tokio::time::timeout(CONNECT_TIMEOUT, attempt).await;
    finished.map_err(timed_out)?
}

/// The pool connects when it is first used: [`reach`] has shown that it can.
pub(super) fn pool(config: &DatabaseConfig, options: PgConnectOptions) -> DatabaseConnection {
    let mut settings = format!("SET statement_timeout = {}", STATEMENT_TIMEOUT.as_millis());
    if let Some(schema) = &config.schema {
        settings.push_str(&format!("; SET search_path = {schema}"));
    }
    // Statements and no start-up parameters: poolers between us and the server refuse those.
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
        .after_release(|connection, _| Box::pin(answers(connection)));
    SqlxPostgresConnector::from_sqlx_postgres_pool(pool.connect_lazy_with(options))
}

/// Whether the connection still answers. The pool asks that too, but waits for ever: where a link has gone silent, each call
/// that was given up would keep its place in the pool until none is left.
async fn answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let silence = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    let answered = tokio::time::timeout(RELEASE_TIMEOUT, connection.ping()).await;
    answered.map_err(silence)??;
    Ok(true)
}

/// Looked up first, because `IF NOT EXISTS` demands the right to create even where there is nothing to create; and under
/// a lock, because two replicas that start together would both find nothing, and one of them fail.
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
    // `options` has refused whatever is not a plain name.
    let statement = format!("CREATE SCHEMA IF NOT EXISTS {schema}");
    transaction.execute(AssertSqlSafe(statement)).await?;
    transaction.commit().await
}
