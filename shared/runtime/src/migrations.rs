//! The tables of this crate, for each service to put beside those of the engine.
//!
//! Expand and contract only: while a rollout lasts, the previous release runs on the new schema.

use sea_orm_migration::prelude::*;

mod m20261124_000001_create_idempotency;
mod m20261124_000002_create_page_token_key;

/// In the order in which they are applied.
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m20261124_000001_create_idempotency::Migration),
        Box::new(m20261124_000002_create_page_token_key::Migration),
    ]
}
