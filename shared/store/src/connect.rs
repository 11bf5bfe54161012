//! The connection pool of a service, on PostgreSQL or SQLite, with the settings that durability needs.
//!
//! A SQLite file uses WAL with `synchronous = FULL`, because an OK answer must survive a power cut. Each operation that
//! can hang has a time-out, and no log contains a password.

use std::time::{Duration, Instant};

use backon::Retryable as _;

use sea_orm::sqlx;

use crate::answer::answered_within;
use crate::backoff::backoff;
use crate::config::DatabaseConfig;
use crate::database::Database;
use crate::database_error::DatabaseError;
use crate::postgres::Reached;
use crate::rotation::{Rotation, current};
use crate::{Doubt, observed, postgres, sqlite};

const PING_TIMEOUT: Duration = Duration::from_secs(1);

const LENT_SESSIONS: &str = "a connection pooler gives each transaction another session of the database, as PgBouncer does with \
    pool_mode = transaction or statement. This service keeps settings, prepared statements and LISTEN in its session. Set \
    pool_mode = session for this database in pgbouncer.ini, or let DATABASE_URL name PostgreSQL itself";

/// Connects, and retries for the configured patience. PostgreSQL's views show `application_name`.
///
/// # Errors
/// See [`DatabaseError`].
pub async fn connect(
    config: &DatabaseConfig,
    application_name: &str,
) -> Result<Database, DatabaseError> {
    connect_watched(config, application_name, &Doubt::new()).await
}

/// As [`connect`]; each failed statement raises `doubt`, for the health check.
///
/// # Errors
/// See [`DatabaseError`].
pub async fn connect_watched(
    config: &DatabaseConfig,
    application_name: &str,
    doubt: &Doubt,
) -> Result<Database, DatabaseError> {
    let db = open(config, application_name, doubt).await?;
    observed::observe(&db, application_name, config.pool_max);
    Ok(db)
}

async fn open(
    config: &DatabaseConfig,
    application_name: &str,
    doubt: &Doubt,
) -> Result<Database, DatabaseError> {
    if let Some(path) = config.sqlite_path() {
        return sqlite::connect(config, &path, doubt).await;
    }
    // Before anything is tried.
    postgres::options::of(config, application_name)?;
    let location = config.location();
    let begun = Instant::now();
    let options = || postgres::options::of(&current(config), application_name);
    let reach = || async {
        let options = options().map_err(|error| sqlx::Error::Configuration(error.into()))?;
        postgres::reach(&options, config.schema.as_deref()).await
    };
    let reached = reach
        .retry(backoff(config.patience))
        .notify(|error, pause| {
            tracing::warn!("{location} is not reachable yet ({error}), trying again in {pause:?}");
        })
        .await;
    match reached {
        Ok(Reached::Usable) => {
            let config = &current(config);
            let options = postgres::options::of(config, application_name)?;
            let rotation = Rotation::of(config, application_name);
            Ok(postgres::pool(config, options, doubt).rotated_by(rotation))
        }
        Ok(Reached::LentSessions) => Err(DatabaseError::Unfit {
            location,
            cause: LENT_SESSIONS,
        }),
        Err(source) if is_refusal(&source) => Err(DatabaseError::Refused { location, source }),
        Err(source) => Err(DatabaseError::Unreachable {
            location,
            waited: begun.elapsed(),
            source,
        }),
    }
}

/// Class 28: the user is refused. 3D000: no such database.
fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sea_orm::sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("28") || code == "3D000")
}

/// The database answers within a second. [`Writable`](crate::Writable) checks more.
pub async fn ping(db: &Database) -> bool {
    let answer = answered_within(PING_TIMEOUT, db.sessions(), db.ping()).await;
    answer.is_ok()
}
