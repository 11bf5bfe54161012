//! The engine's tables, for each service to prepend to its own migrations.
//!
//! Expand and contract only: while a rollout lasts, the previous release runs on the new schema.

use sea_orm_migration::prelude::*;

mod m20261123_000001_create_outbox;
mod m20261123_000002_create_inbox;
mod m20261124_000003_add_baggage;
mod m20261127_000004_count_begun_attempts;
mod m20261128_000005_find_suspects;
mod m20261128_000006_set_aside_what_is_not_taken;

/// In the order in which they are applied.
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m20261123_000001_create_outbox::Migration),
        Box::new(m20261123_000002_create_inbox::Migration),
        Box::new(m20261124_000003_add_baggage::Migration),
        Box::new(m20261127_000004_count_begun_attempts::Migration),
        Box::new(m20261128_000005_find_suspects::Migration),
        Box::new(m20261128_000006_set_aside_what_is_not_taken::Migration),
    ]
}

/// The few words of DDL in which the two stores differ.
fn ddl(sql: &str, manager: &SchemaManager<'_>) -> String {
    let (sequence, bytes) = match manager.get_database_backend() {
        sea_orm::DbBackend::Sqlite => ("integer PRIMARY KEY AUTOINCREMENT", "blob"),
        _ => ("bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "bytea"),
    };
    sql.replace("{sequence}", sequence)
        .replace("{bytes}", bytes)
}
