//! Why a service has no database: the cause, the address, and whether an operator must act.

use std::time::Duration;

use sea_orm::{DbErr, sqlx};

use crate::config::Location;

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL cannot be used. The URL is a secret, so it is not shown.
    #[error("the database cannot be used: {0}")]
    Invalid(String),
    /// The file cannot be opened or created.
    #[error("cannot open the SQLite file {path}: {source}")]
    File {
        /// The file, or its folder.
        path: String,
        /// What the system or SQLite says.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether the next start would fail in the same way.
        is_lasting: bool,
    },
    /// It was unreachable for the configured patience.
    #[error("{location} could not be reached within {waited:?}: {source}")]
    Unreachable {
        /// Where it should be.
        location: Location,
        /// How long it tried.
        waited: Duration,
        /// The error of the last attempt.
        source: sqlx::Error,
    },
    /// The server refused the user or the database until the patience was used up.
    #[error(
        "{location} refuses this service: {source}; correct the user, the password and the database in DATABASE_URL, or create \
         them on the server"
    )]
    Refused {
        /// The database.
        location: Location,
        /// The last refusal.
        source: sqlx::Error,
    },
    /// The database is reachable, but an operator must change its set-up.
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
        /// How long this process waited.
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
    /// Whether an operator must change something first, because a restart does not help.
    pub fn is_misconfiguration(&self) -> bool {
        matches!(
            self,
            Self::Invalid(_)
                | Self::Unfit { .. }
                | Self::Refused { .. }
                | Self::SchemaOutdated(_)
                | Self::SchemaTooNew(_)
        ) || matches!(self, Self::File { is_lasting, .. } if *is_lasting)
    }
}
