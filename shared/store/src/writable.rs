//! Checks whether the database accepts writes.
//!
//! A database with a full disk, a read-only file system or a standby answers a ping; then every command fails while
//! health says `SERVING`. A write each second would keep the disk of every idle system busy. So [`Writable`] writes at
//! the start, after a failed statement or commit ([`Doubt`]), and then each second until a write succeeds. It needs
//! [`ROOM`] on the disk, more than a command: otherwise one last free page would give `SERVING`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::doubt::Doubt;
use sea_orm::sqlx::sqlite::SqliteConnection;
use sea_orm::sqlx::{self, Connection as _, PgPool, SqlitePool};
use sea_orm::{ConnectionTrait as _, DbBackend};
use tokio::time::Instant;

use crate::connect::ping;
use crate::database::Database;
use crate::errors;

const ROOM: usize = 256 * 1024;
const FILL_A_TABLE: &str = "CREATE TEMP TABLE write_probe ON COMMIT DROP AS \
    SELECT repeat('x', 1000) AS filler FROM generate_series(1, 256)";
/// The first page of the file; the number is unused.
const WRITE_A_PAGE: &str = "PRAGMA user_version = 0";
/// While another writer holds the file, a check learns nothing.
const BUSY_TIMEOUT: Duration = Duration::from_millis(300);
/// Less than the time-out of the health check, so that a slow write does not look like an unreachable database.
const TIMEOUT: Duration = Duration::from_millis(1200);

/// The health check of one database.
pub struct Writable {
    database: Database,
    doubt: Doubt,
    settled: AtomicU64,
    writable: AtomicBool,
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("{path}: {source}")]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl Writable {
    /// Writing code raises `doubt`.
    pub fn new(database: Database, doubt: Doubt) -> Self {
        Self {
            database,
            doubt,
            settled: AtomicU64::new(0),
            writable: AtomicBool::new(true),
        }
    }

    /// The database answers and, as far as is known, accepts writes.
    pub async fn check(&self) -> bool {
        let end = Instant::now() + TIMEOUT;
        // No call then fails after a rotation of the password.
        self.database.refresh_url();
        if !ping(&self.database).await {
            self.doubt.raise();
            return false;
        }
        // Before the write, so that the next check covers failures in between.
        let raised = self.doubt.raised();
        if raised != self.settled.load(Ordering::Acquire) {
            self.settle(raised, end).await;
        }
        self.writable.load(Ordering::Acquire)
    }

    async fn settle(&self, raised: u64, end: Instant) {
        let written = tokio::time::timeout_at(end, write(&self.database)).await;
        let Ok(written) = written else {
            return;
        };
        match written {
            Ok(()) => self.found(true),
            Err(refusal) if refusal.is_of_the_disk() => {
                if self.found(false) {
                    tracing::error!(%refusal, "the database accepts no writes; free disk space or make it writable, no restart is needed");
                }
                return;
            }
            Err(refusal) if refusal.is_a_pause() => return,
            Err(refusal) => {
                tracing::warn!(%refusal, "the health check could not determine whether the database accepts writes");
                self.found(true)
            }
        };
        self.settled.store(raised, Ordering::Release);
    }

    fn found(&self, writable: bool) -> bool {
        let before = self.writable.swap(writable, Ordering::AcqRel);
        if writable && !before {
            tracing::info!("the database accepts writes again");
        }
        writable != before
    }
}

impl Refusal {
    fn is_of_the_disk(&self) -> bool {
        match self {
            Self::Database(error) => errors::is_unwritable(error),
            Self::File { .. } => true,
        }
    }

    fn is_a_pause(&self) -> bool {
        matches!(self, Self::Database(error) if errors::of_driver(error) == errors::Class::Unavailable)
    }
}

async fn write(database: &Database) -> Result<(), Refusal> {
    if database.get_database_backend() == DbBackend::Sqlite {
        return write_to_file(database.get_sqlite_connection_pool()).await;
    }
    write_to_server(database.get_postgres_connection_pool()).await
}

async fn write_to_server(pool: &PgPool) -> Result<(), Refusal> {
    sqlx::query(FILL_A_TABLE).execute(pool).await?;
    Ok(())
}

/// A pooled connection would wait for other writers and occupy its place.
async fn write_to_file(pool: &SqlitePool) -> Result<(), Refusal> {
    let options = (*pool.connect_options())
        .clone()
        .create_if_missing(false)
        .busy_timeout(BUSY_TIMEOUT);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let written = sqlx::query(WRITE_A_PAGE).execute(&mut connection).await;
    connection.close().await?;
    written?;
    find_room(options.get_filename()).await
}

/// A SQLite write proves nothing, because it may reuse space inside the file.
async fn find_room(file: &Path) -> Result<(), Refusal> {
    let mut name = file.as_os_str().to_owned();
    name.push(".write-probe");
    let path = PathBuf::from(name);
    let written = tokio::fs::write(&path, vec![0; ROOM]).await;
    let removed = tokio::fs::remove_file(&path).await;
    written
        .and(removed)
        .map_err(|source| Refusal::File { path, source })
}
