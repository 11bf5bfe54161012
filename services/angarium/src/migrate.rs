//! Migrates the schemas of all services, so that the services need no right to do so.

use crate::args::Config;
use crate::registry::SERVICES;
use crate::system::database;

/// # Errors
/// If a database cannot be reached or migrated. Earlier ones stay migrated, and the command can be repeated.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    for service in SERVICES {
        let definition = &service.definition;
        let database = database(config, definition.name);
        definition.migrate(&database).await?;
    }
    Ok(())
}
