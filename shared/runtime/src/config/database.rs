//! The settings of a service's database. The URL holds a password, so it is never shown.

use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;
use store::{DatabaseConfig, Migrate, check_url, is_plain_identifier};

use super::Problems;

const EXPECTED_URL: &str = "postgres://user:password@host/database or sqlite://path/to/file.db";

/// Named at each flag: a heading for what follows would also take in the service's own flags.
const HEADING: &str = "Database";

/// Flags and variables of the database. No `Debug`: the URL is a secret.
#[derive(Clone, clap::Args)]
pub struct DatabaseArgs {
    /// postgres://user:password@host/database or sqlite://path; DATABASE_URL_FILE names a file that holds it
    #[arg(
        long,
        help_heading = HEADING,
        env = "DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: Option<String>,

    /// PostgreSQL: the schema to live in, created if missing [default: the user's own]
    #[arg(long, help_heading = HEADING, env = "DATABASE_SCHEMA", value_name = "NAME")]
    pub database_schema: Option<String>,

    /// Connections that are open at most
    #[arg(
        long,
        help_heading = HEADING,
        env = "DATABASE_POOL_MAX",
        value_name = "N",
        default_value = "10"
    )]
    pub database_pool_max: String,

    /// Longest wait for a free connection; then the call answers UNAVAILABLE
    #[arg(
        long,
        help_heading = HEADING,
        env = "DATABASE_ACQUIRE_TIMEOUT",
        value_name = "TIME",
        default_value = "2s"
    )]
    pub database_acquire_timeout: String,

    /// Who applies migrations: the service at its start (auto), or an operator with the command `migrate`; then a start waits
    /// (off) or fails (check) if any is missing
    #[arg(
        long,
        help_heading = HEADING,
        env = "MIGRATE",
        value_name = "auto|off|check",
        default_value = "auto"
    )]
    pub migrate: String,

    /// How long a start waits for a database that is away
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
    /// The checked section. A service with a default of its own fills `database_url` before it asks.
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
        // A flag wins over the file, and then the file is not read again.
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
