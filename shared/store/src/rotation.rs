//! A database URL in a file that changes while the process runs, as when a password is rotated.
//!
//! Guarantee: connections opened after the change use the new URL, without a restart. Open connections stay.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::DatabaseConfig;
use crate::database_url::check_url;
use crate::postgres::options;

/// Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Rotation {
    config: Arc<DatabaseConfig>,
    application_name: Arc<str>,
    used: Arc<Mutex<SecretString>>,
}

impl Rotation {
    pub(crate) fn of(config: &DatabaseConfig, application_name: &str) -> Option<Self> {
        config.url_file.as_ref()?;
        Some(Self {
            config: Arc::new(config.clone()),
            application_name: application_name.into(),
            used: Arc::new(Mutex::new(config.url.clone())),
        })
    }

    pub(crate) fn refresh(&self, db: &sea_orm::DatabaseConnection) {
        let Some(file) = &self.config.url_file else {
            return;
        };
        let url = match read_secret(file) {
            Ok(url) => url,
            Err(error) => {
                // It may be in the middle of a replacement.
                tracing::debug!(%error, file = %file.display(), "the file of the database URL cannot be read");
                return;
            }
        };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.expose_secret() == url {
            return;
        }
        let config = DatabaseConfig {
            url: url.into(),
            ..(*self.config).clone()
        };
        match options::of(&config, &self.application_name) {
            Ok(options) => {
                db.get_postgres_connection_pool()
                    .set_connect_options(options);
                tracing::info!(database = %config.location(), "the database URL has changed; new connections use it");
            }
            Err(error) => {
                tracing::error!(%error, file = %file.display(), "the new database URL cannot be used; the old one stays");
            }
        }
        *used = config.url;
    }
}

/// With the URL that is in its file now: a password may be rotated during a waiting start.
pub(crate) fn current(config: &DatabaseConfig) -> DatabaseConfig {
    let url = config.url_file.as_deref().map(read_secret);
    match url {
        Some(Ok(url)) if check_url(&url).is_ok() => DatabaseConfig {
            url: url.into(),
            ..config.clone()
        },
        _ => config.clone(),
    }
}

/// Reads the secret in a file, as [`secret_of`].
///
/// # Errors
/// If it cannot be read.
pub fn read_secret(path: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    Ok(secret_of(&text).to_owned())
}

/// `text` without a byte order mark and trailing line breaks, which editors and shells add. So a secret is the same in
/// a file, a variable or a flag.
pub fn secret_of(text: &str) -> &str {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.trim_end_matches(['\r', '\n'])
}
