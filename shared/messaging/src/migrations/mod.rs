//! The engine's tables, for each service to put before its own migrations. Their names begin with `angarium_`, so a service's own tables
//! can have any other.
//!
//! Expand and contract only: while a rollout lasts, the previous release runs on the new schema.

use sea_orm_migration::prelude::*;

mod inbox;
mod m20261129_000001_create_engine;
mod m20261129_000002_await_types;
mod m20261130_000001_erase_inbox;
mod m20261130_000002_index_inbox;
mod m20261201_000001_checkpoints;
mod outbox;

/// In the order in which they are applied.
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m20261129_000001_create_engine::Migration),
        Box::new(m20261129_000002_await_types::Migration),
        Box::new(m20261130_000001_erase_inbox::Migration),
        Box::new(m20261130_000002_index_inbox::Migration),
        Box::new(m20261201_000001_checkpoints::Migration),
    ]
}
