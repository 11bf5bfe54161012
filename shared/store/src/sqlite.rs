//! SQLite: one file, one machine; every commit is on the disk before it is answered.
//!
//! A connection on which SQLite has ended a transaction by itself is closed: [`crate::guarded`].

use std::io::ErrorKind;
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

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn connect(
    config: &DatabaseConfig,
    path: &Path,
    doubt: &Doubt,
) -> Result<Database, DatabaseError> {
    let cannot_open =
        |is_lasting, source: Box<dyn std::error::Error + Send + Sync>| DatabaseError::File {
            path: path.display().to_string(),
            source,
            is_lasting,
        };
    create_folder(path).await?;
    // SQLite reads a relative path that begins with `file:` as a URL, and `:memory:` as no file at all.
    let file = std::path::absolute(path).map_err(|error| cannot_open(false, error.into()))?;
    let options = SqliteConnectOptions::new()
        .filename(&file)
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
    // that recovers the file may hold it longer than a pool waits.
    let pool = open
        .retry(backoff(config.patience))
        .when(|error| errors::is_sqlite_lock(error) || matches!(error, sqlx::Error::PoolTimedOut))
        .await
        .map_err(|error| cannot_open(is_lasting(&error), guarded::explain(&error).into()))?;
    // The files beside it get its rights.
    private::tighten(&file).map_err(|error| cannot_open(true, error.into()))?;
    let db = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool);
    Ok(Database::with_sessions(
        db,
        Sessions::watched(doubt.clone()),
    ))
}

fn is_lasting(error: &sqlx::Error) -> bool {
    const READ_ONLY: &str = "8";
    const CANNOT_OPEN: &str = "14";
    const NO_DATABASE: &str = "26";
    let code = error
        .as_database_error()
        .and_then(sea_orm::sqlx::error::DatabaseError::code);
    code.is_some_and(|code| [READ_ONLY, CANNOT_OPEN, NO_DATABASE].contains(&&*code))
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
        is_lasting: matches!(
            error.kind(),
            ErrorKind::PermissionDenied | ErrorKind::NotADirectory | ErrorKind::AlreadyExists
        ),
        source: Box::new(error),
    })
}
