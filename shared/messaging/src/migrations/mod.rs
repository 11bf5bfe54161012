//! The engine's tables, before each service's own migrations. Their names begin with `angarium_`.
//!
//! Expand and contract only: during a rollout, the previous release runs on the new schema.

use sea_orm_migration::prelude::*;

mod inbox;
mod m20261129_000001_create_engine;
mod m20261129_000002_await_types;
mod m20261130_000001_erase_inbox;
mod m20261130_000002_index_inbox;
mod m20261201_000001_checkpoints;
mod m20261201_000002_divergence;
mod outbox;

/// The migrations, in the order of application.
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m20261129_000001_create_engine::Migration),
        Box::new(m20261129_000002_await_types::Migration),
        Box::new(m20261130_000001_erase_inbox::Migration),
        Box::new(m20261130_000002_index_inbox::Migration),
        Box::new(m20261201_000001_checkpoints::Migration),
        Box::new(m20261201_000002_divergence::Migration),
    ]
}
