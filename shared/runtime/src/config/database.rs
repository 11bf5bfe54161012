//! The settings of a service's database. The URL contains a password, so it is never shown.

use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;
use store::{DatabaseConfig, Migrate, check_url, is_plain_identifier};

use super::Problems;

const EXPECTED_URL: &str = "postgres://user:password@host/database or sqlite://path/to/file.db";

/// At each flag: `next_help_heading` would also apply to the service's own flags.
const HEADING: &str = "Database";

/// Flags and variables of the database. No `Debug`: the URL is a secret.
#[derive(Clone, clap::Args)]
pub struct DatabaseArgs {
    /// postgres://user:password@host/database or sqlite://path; DATABASE_URL_FILE names a file that contains it
    #[arg(
        long,
        help_heading = HEADING,
        env = "DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: Option<String>,

    /// PostgreSQL: the schema of the tables, created if missing [default: the user's own]
    #[arg(long, help_heading = HEADING, env = "DATABASE_SCHEMA", value_name = "NAME")]
    pub database_schema: Option<String>,

    /// Maximum number of open connections
    #[arg(
        long,
        help_heading = HEADING,
        env = "DATABASE_POOL_MAX",
        value_name = "N",
        default_value = "10"
    )]
    pub database_pool_max: String,

    /// Longest wait for a free connection; after that the call answers UNAVAILABLE
    #[arg(
        long,
        help_heading = HEADING,
        env = "DATABASE_ACQUIRE_TIMEOUT",
        value_name = "TIME",
        default_value = "2s"
    )]
    pub database_acquire_timeout: String,

    /// Who applies migrations: the service when it starts (auto), or an operator with the command `migrate`; if one is
    /// missing, a start waits (off) or fails (check)
    #[arg(
        long,
        help_heading = HEADING,
        env = "MIGRATE",
        value_name = "auto|off|check",
        default_value = "auto"
    )]
    pub migrate: String,

    /// How long a start waits for an unreachable database, and with MIGRATE=off for the migrations
    #[arg(
        long,
        help_heading = HEADING,
        env = "DATABASE_PATIENCE",
        value_name = "TIME",
        default_value = "30s"
    )]
    pub database_patience: String,
}

impl DatabaseArgs {
    /// Validates. A service with its own default fills in `database_url` first.
    pub fn check(self, problems: &mut Problems) -> Option<DatabaseConfig> {
        let url = match self.database_url {
            Some(url) => match check_url(&url) {
                Ok(()) => Some(url),
                Err(expected) => {
                    problems.add_secret("DATABASE_URL", expected);
                    None
                }
            },
            None => {
                problems.missing("DATABASE_URL", EXPECTED_URL);
                None
            }
        };
        // A flag wins over the file; the file is then not read again.
        let file = problems.file_of("DATABASE_URL").map(Path::to_owned);
        let url_file = file.filter(|file| store::read_secret(file).ok() == url);
        let schema = match self.database_schema {
            Some(schema) if !is_plain_identifier(&schema) => {
                problems.add(
                    "DATABASE_SCHEMA",
                    &schema,
                    "a lower-case name of letters, digits and underscores, 63 characters at most",
                );
                None
            }
            valid => Some(valid),
        };
        let pool_max = problems.number("DATABASE_POOL_MAX", &self.database_pool_max, (1, 1_000));
        let acquire_timeout = problems.duration_within(
            "DATABASE_ACQUIRE_TIMEOUT",
            &self.database_acquire_timeout,
            (Duration::from_millis(10), Duration::from_secs(60)),
        );
        let patience = problems.duration("DATABASE_PATIENCE", &self.database_patience);
        let migrate = match self.migrate.as_str() {
            "auto" => Some(Migrate::Auto),
            "off" => Some(Migrate::Off),
            "check" => Some(Migrate::Check),
            other => {
                problems.add("MIGRATE", other, "auto, off or check");
                None
            }
        };
        Some(DatabaseConfig {
            url: SecretString::from(url?),
            url_file,
            schema: schema?,
            pool_max: pool_max?,
            acquire_timeout: acquire_timeout?,
            patience: patience?,
            migrate: migrate?,
        })
    }
}
