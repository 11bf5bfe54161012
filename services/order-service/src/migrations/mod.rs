//! The tables of this service, after those of the engine and the runtime. Expand and contract only: during a rollout,
//! the previous release runs on the new schema.

use sea_orm_migration::prelude::*;

mod m20261129_000003_create_orders;

pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations = service::migrations();
        migrations.push(Box::new(m20261129_000003_create_orders::Migration));
        migrations
    }
}
