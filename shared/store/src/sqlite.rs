//! SQLite: one file, one machine; every commit is on the disk before it is answered.
//!
//! If SQLite ends a transaction by itself, as on a full disk, the connection is closed and not reused:
//! [`crate::guarded`].

use std::path::Path;
use std::time::Duration;

use crate::doubt::Doubt;
use backon::Retryable;
use sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sea_orm::{SqlxSqliteConnector, sqlx};

use crate::backoff::backoff;
use crate::config::DatabaseConfig;
use crate::database::Database;
use crate::database_error::DatabaseError;
use crate::sessions::Sessions;
use crate::{errors, guarded, private};

/// How long a writer waits for the previous one. Only transactions that begin IMMEDIATE wait at all.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the file. Creates it and its folder if they are missing.
pub(crate) async fn connect(
    config: &DatabaseConfig,
    path: &str,
    doubt: &Doubt,
) -> Result<Database, DatabaseError> {
    create_folder(Path::new(path)).await?;
    // Options of the pool, so that every later connection gets them, too.
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .busy_timeout(BUSY_TIMEOUT)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true);
    let open = || async {
        guarded::guarded(SqlitePoolOptions::new())
            .max_connections(config.pool_max)
            .acquire_timeout(config.acquire_timeout)
            .connect_with(options.clone())
            .await
    };
    // While another process enables WAL, SQLite reports busy immediately: this lock ignores the time-out. A process
    // that recovers the file after a crash may hold it longer than a pool waits.
    let pool = open
        .retry(backoff(config.patience))
        .when(|error| errors::is_sqlite_lock(error) || matches!(error, sqlx::Error::PoolTimedOut))
        .await
        .map_err(|error| DatabaseError::File {
            path: path.to_owned(),
            source: guarded::explain(&error).into(),
        })?;
    // SQLite gives the files beside it the same permissions.
    private::tighten(Path::new(path)).map_err(|error| DatabaseError::File {
        path: path.to_owned(),
        source: Box::new(error),
    })?;
    let db = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool);
    Ok(Database::with_sessions(
        db,
        Sessions::watched(doubt.clone()),
    ))
}

async fn create_folder(file: &Path) -> Result<(), DatabaseError> {
    let Some(folder) = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    else {
        return Ok(());
    };
    let created = tokio::fs::create_dir_all(folder).await;
    created.map_err(|error| DatabaseError::File {
        path: folder.display().to_string(),
        source: Box::new(error),
    })
}
