//! The connection pool of a service, on PostgreSQL or SQLite, with the settings that our promises need.
//!
//! A SQLite file is WAL with `synchronous = FULL`, because an OK answer must survive a power cut. Statements are logged at
//! debug, slow ones (past a second) as warnings. Whatever can hang has a time-out, and no password reaches a log.

use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use sea_orm::DbErr;
use sea_orm::sqlx;
use secrecy::ExposeSecret;

use crate::answer::answered_within;
use crate::config::{DatabaseConfig, Location};
use crate::database::Database;
use crate::postgres::Reached;
use crate::rotation::Rotation;
use crate::{Doubt, observed, postgres, sqlite};

const PING_TIMEOUT: Duration = Duration::from_secs(1);

const LENT_SESSIONS: &str = "a connection pooler gives each transaction another session of the database, as PgBouncer does with \
    pool_mode = transaction or statement. This service keeps settings, prepared statements and LISTEN in its session. Set \
    pool_mode = session for this database in pgbouncer.ini, or let DATABASE_URL name PostgreSQL itself";

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Not a URL that we can use. The URL itself is a secret.
    #[error("the database cannot be used: {0}")]
    Invalid(String),
    /// The file cannot be opened or created.
    #[error("cannot open the SQLite file {path}: {source}")]
    File {
        /// The file, or its folder.
        path: String,
        /// What the system or SQLite says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It was away for as long as we were willing to wait.
    #[error("{location} could not be reached within {waited:?}: {source}")]
    Unreachable {
        /// Where it should be.
        location: Location,
        /// How long was tried.
        waited: Duration,
        /// The last attempt's failure.
        source: sqlx::Error,
    },
    /// The database is reachable, but its set-up does not fit: an operator has to change it.
    #[error("{location} cannot be used: {cause}")]
    Unfit {
        /// Where it is.
        location: Location,
        /// What to change.
        cause: &'static str,
    },
    /// The schema could not be brought up to date.
    #[error("the migrations failed: {0}")]
    Migration(#[source] DbErr),
    /// The schema lacks migrations, and this process waits for the operator to apply them.
    #[error(
        "the schema still lacks {missing} after {patience:?}; run the command `migrate`, or set MIGRATE=auto"
    )]
    SchemaMissing {
        /// Their names.
        missing: String,
        /// How long it waited.
        patience: Duration,
    },
    /// The schema lacks these migrations, and this process only checks.
    #[error("the schema lacks {0}; run the command `migrate`, or set MIGRATE=auto")]
    SchemaOutdated(String),
    /// A newer release has changed the schema so that this one cannot use it. A restart does not help.
    #[error("the schema is too new for this release: {0}")]
    SchemaTooNew(String),
}

impl DatabaseError {
    /// Whether an operator has to change something first. A restart does not help.
    pub fn is_misconfiguration(&self) -> bool {
        matches!(
            self,
            Self::Unfit { .. } | Self::SchemaOutdated(_) | Self::SchemaTooNew(_)
        )
    }
}

/// Connects, and goes on trying for the configured patience while the server is away. `application_name` is what
/// PostgreSQL's own views call our connections.
///
/// # Errors
/// See [`DatabaseError`].
pub async fn connect(
    config: &DatabaseConfig,
    application_name: &str,
) -> Result<Database, DatabaseError> {
    connect_watched(config, application_name, &Doubt::new()).await
}

/// As [`connect`]. Each statement that fails on the pool raises `doubt`, for the service's health check.
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
        return sqlite::connect(config, path, doubt).await;
    }
    let url = config.url.expose_secret();
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        let reason = "its URL is neither postgres://… nor sqlite://…";
        return Err(DatabaseError::Invalid(reason.to_owned()));
    }
    let options = postgres::options(config, application_name)?;
    let location = config.location();
    let begun = Instant::now();
    let reach = || async { postgres::reach(&options, config.schema.as_deref()).await };
    let reached = reach
        .retry(backoff(config.patience))
        .notify(|error, pause| {
            tracing::warn!("{location} is not there yet ({error}), trying again in {pause:?}");
        })
        .await;
    match reached {
        Ok(Reached::Usable) => {
            let rotation = Rotation::of(config, application_name);
            Ok(postgres::pool(config, options, doubt).rotated_by(rotation))
        }
        Ok(Reached::LentSessions) => Err(DatabaseError::Unfit {
            location,
            cause: LENT_SESSIONS,
        }),
        Err(source) => Err(DatabaseError::Unreachable {
            location,
            waited: begun.elapsed(),
            source,
        }),
    }
}

/// Whether the database answers within a second. [`Writable`](crate::Writable) asks more of it.
pub async fn ping(db: &Database) -> bool {
    let answer = answered_within(PING_TIMEOUT, db.sessions(), db.ping()).await;
    answer.is_ok()
}

/// From 100 ms to 2 s, with jitter so that replicas do not knock together.
pub(crate) fn backoff(patience: Duration) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .with_total_delay(Some(patience))
        .without_max_times()
        .with_jitter()
}
