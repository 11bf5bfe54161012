//! The tables of this service, after those of the engine and of the platform.
//!
//! Expand and contract only: while a rollout lasts, the previous release runs on the new schema.

use sea_orm_migration::prelude::*;

mod m20261123_000001_create_notifications;
mod m20261124_000002_add_baggage;
mod m20261124_000003_settle_deletions;

pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations = messaging::migrations();
        migrations.extend(runtime::migrations());
        migrations.push(Box::new(m20261123_000001_create_notifications::Migration));
        migrations.push(Box::new(m20261124_000002_add_baggage::Migration));
        migrations.push(Box::new(m20261124_000003_settle_deletions::Migration));
        migrations
    }
}
