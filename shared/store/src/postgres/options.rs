//! The connection options for a PostgreSQL server, from a configuration.

use std::str::FromStr as _;

use sea_orm::sqlx::postgres::PgConnectOptions;
use secrecy::ExposeSecret as _;

use crate::config::{DatabaseConfig, is_plain_identifier};
use crate::database_error::DatabaseError;
use crate::database_url::check_url;
use crate::host::host_name;

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
    let url = config.url.expose_secret();
    let expected =
        |expected| DatabaseError::Invalid(format!("its URL is wrong, expected {expected}"));
    check_url(url).map_err(expected)?;
    // The parser's own words may repeat parts of the URL.
    let options = PgConnectOptions::from_str(url).map_err(|_| expected("a PostgreSQL server"))?;
    let options = match host_name(options.get_host()) {
        // In brackets an IPv6 address would match no certificate.
        Some(host) if options.get_socket().is_none() => options.host(&host),
        _ => options,
    };
    // PgBouncer refuses this parameter by default. Numbers travel in binary, so it changes nothing for us.
    let options = options.extra_float_digits(None);
    Ok(options.application_name(application_name))
}
