//! The platform's tables. Each service puts them between the engine's and its own migrations.
//!
//! Expand and contract only: during a rollout, the previous release runs on the new schema.

use sea_orm_migration::prelude::*;

mod m20261129_000002_create_platform;

/// In the order of application.
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(m20261129_000002_create_platform::Migration)]
}
