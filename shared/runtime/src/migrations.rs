//! The platform's tables, for each service to put between the engine's and its own migrations.
//!
//! Expand and contract only: while a rollout lasts, the previous release runs on the new schema.

use sea_orm_migration::prelude::*;

mod m20261129_000002_create_platform;

/// In the order in which they are applied.
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(m20261129_000002_create_platform::Migration)]
}
