//! The command `migrate`: brings the schemas of all services up to date, so that the services themselves need no right to do so.

use crate::args::Config;
use crate::registry::SERVICES;
use crate::system::database;

/// Migrates one service after the other.
///
/// # Errors
/// Where a database cannot be reached or migrated. Those before it are migrated then, and the command may be repeated.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    for service in SERVICES {
        let definition = &service.definition;
        let database = database(config, definition.name);
        definition.migrate(&database).await?;
    }
    Ok(())
}
