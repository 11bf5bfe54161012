//! The platform's tables, for each service to put between the engine's and its own migrations.
//!
//! Expand and contract only: while a rollout lasts, the previous release runs on the new schema.

use sea_orm_migration::prelude::*;

mod m20261124_000001_create_verification_key;
mod m20261124_000002_create_idempotency;
mod m20261124_000003_create_page_token_key;
mod m20261128_000004_add_announcement;

/// In the order in which they are applied.
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m20261124_000001_create_verification_key::Migration),
        Box::new(m20261124_000002_create_idempotency::Migration),
        Box::new(m20261124_000003_create_page_token_key::Migration),
        Box::new(m20261128_000004_add_announcement::Migration),
    ]
}

/// The few words of DDL in which the two stores differ.
fn ddl(sql: &str, manager: &SchemaManager<'_>) -> String {
    let bytes = match manager.get_database_backend() {
        sea_orm::DbBackend::Sqlite => "blob",
        _ => "bytea",
    };
    sql.replace("{bytes}", bytes)
}
