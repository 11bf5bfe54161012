//! The connection options for a PostgreSQL server, from a configuration.

use std::str::FromStr as _;

use sea_orm::sqlx::postgres::PgConnectOptions;
use secrecy::ExposeSecret as _;

use crate::config::{DatabaseConfig, is_plain_identifier};
use crate::database_error::DatabaseError;

/// # Errors
/// If the URL or the name of the schema cannot be used.
pub(crate) fn of(
    config: &DatabaseConfig,
    application_name: &str,
) -> Result<PgConnectOptions, DatabaseError> {
    let schema = config.schema.as_deref();
    if let Some(schema) = schema.filter(|schema| !is_plain_identifier(schema)) {
        let reason =
            format!("{schema:?} is not a valid schema name; use letters, digits and underscores");
        return Err(DatabaseError::Invalid(reason));
    }
    let options = PgConnectOptions::from_str(config.url.expose_secret());
    // The parser's text may repeat parts of the URL.
    let options = options.map_err(|_| DatabaseError::Invalid("its URL is malformed".to_owned()))?;
    // PgBouncer refuses this start-up parameter by default. Numbers are binary, so nothing changes for us.
    let options = options.extra_float_digits(None);
    Ok(options.application_name(application_name))
}
