//! The address of a database: a PostgreSQL database (or a schema in it), or a SQLite file.
//!
//! The URL contains a password: logs and `Debug` show a [`Location`].

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::database_url::{of_file, sqlite_path};

const POOL_MAX: u32 = 10;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);

/// Who applies the migrations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Migrate {
    /// The service at its start, with the right to change the schema.
    #[default]
    Auto,
    /// An operator, with the command `migrate`; a start waits for it.
    Off,
    /// As [`Off`](Self::Off), but a start fails at once if migrations are missing.
    Check,
}

/// One database and its pool.
#[derive(Clone)]
pub struct DatabaseConfig {
    /// `postgres://…` or `sqlite://path`.
    pub url: SecretString,
    /// The file with the URL. After a change, as when a password is rotated, new connections use it.
    pub url_file: Option<PathBuf>,
    /// PostgreSQL only: created if missing; the search path of every connection.
    pub schema: Option<String>,
    /// The maximum of open connections.
    pub pool_max: u32,
    /// The longest wait for a free connection.
    pub acquire_timeout: Duration,
    /// How long [`crate::connect`] retries, and how long a start waits for the operator's migrations.
    pub patience: Duration,
    /// Who applies the migrations.
    pub migrate: Migrate,
}

impl DatabaseConfig {
    /// Default settings.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: SecretString::from(url.into()),
            url_file: None,
            schema: None,
            pool_max: POOL_MAX,
            acquire_timeout: ACQUIRE_TIMEOUT,
            patience: PATIENCE,
            migrate: Migrate::default(),
        }
    }

    /// A SQLite file.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self::new(of_file(&path.into()))
    }

    /// The same database with its own schema; SQLite ignores it.
    #[must_use]
    pub fn with_schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// The URL for logs and errors.
    pub fn location(&self) -> Location {
        Location(without_password(self.url.expose_secret()))
    }

    pub(crate) fn sqlite_path(&self) -> Option<PathBuf> {
        sqlite_path(self.url.expose_secret())
    }
}

impl fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseConfig")
            .field("url", &self.location().to_string())
            .field("schema", &self.schema)
            .field("pool_max", &self.pool_max)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("patience", &self.patience)
            .field("migrate", &self.migrate)
            .finish()
    }
}

/// A database's URL without its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location(String);

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `name` needs no quotes in SQL. This keeps SQL out of a schema's name.
pub fn is_plain_identifier(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    starts_well && name.len() <= 63 && name.chars().all(plain)
}

fn without_password(url: &str) -> String {
    if let Some(path) = sqlite_path(url) {
        return format!("sqlite://{}", path.display());
    }
    let Ok(mut parsed) = Url::parse(url) else {
        return "an unreadable URL".to_owned();
    };
    if parsed.password().is_some() && parsed.set_password(Some("***")).is_err() {
        return format!("{}://…", parsed.scheme());
    }
    parsed.set_query(None);
    parsed.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_never_holds_a_password() {
        for url in [
            "postgres://app:hunter2@db:5432/users",
            "postgres://app@db/users?password=hunter2",
            "postgresql://app:hunter2@db/users?sslmode=require",
            "not a url hunter2",
        ] {
            let config = DatabaseConfig::new(url);
            let shown = format!("{config:?} {}", config.location());
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn only_plain_names_are_schemas() {
        assert!(is_plain_identifier("user_service"));
        assert!(is_plain_identifier("_2"));
        let longest = "a".repeat(63);
        assert!(is_plain_identifier(&longest));
        for name in ["", "2a", "User", "a-b", "a\"b", "a;b", "größe"] {
            assert!(!is_plain_identifier(name), "{name}");
        }
        assert!(!is_plain_identifier(&format!("{longest}a")));
    }
}
