//! Why a service has no database: the cause, the address, and whether an operator must act.

use std::time::Duration;

use sea_orm::{DbErr, sqlx};

use crate::config::Location;

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL cannot be used. It is a secret, so it is not shown.
    #[error("the database cannot be used: {0}")]
    Invalid(String),
    /// The file cannot be opened or created.
    #[error("cannot open the SQLite file {path}: {source}")]
    File {
        /// The file, or its folder.
        path: String,
        /// The error of the system or of SQLite.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether the next start would fail in the same way.
        is_lasting: bool,
    },
    /// The database was unreachable for the configured patience.
    #[error("{location} could not be reached within {waited:?}: {source}")]
    Unreachable {
        /// Its address.
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
    /// An operator must change the set-up of a reachable database.
    #[error("{location} cannot be used: {cause}")]
    Unfit {
        /// Its address.
        location: Location,
        /// What to change.
        cause: &'static str,
    },
    /// The schema could not be brought up to date.
    #[error("the migrations failed: {0}")]
    Migration(#[source] DbErr),
    /// This process waited for an operator to migrate.
    #[error(
        "the schema still lacks {missing} after {patience:?}; run the command `migrate`, or set MIGRATE=auto"
    )]
    SchemaMissing {
        /// Missing migrations, by name.
        missing: String,
        /// How long it waited.
        patience: Duration,
    },
    /// This process only checks; these migrations are missing.
    #[error("the schema lacks {0}; run the command `migrate`, or set MIGRATE=auto")]
    SchemaOutdated(String),
    /// A newer release has changed the schema so that this one cannot use it.
    #[error("the schema is too new for this release: {0}")]
    SchemaTooNew(String),
}

impl DatabaseError {
    /// A restart does not help; an operator must act.
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
