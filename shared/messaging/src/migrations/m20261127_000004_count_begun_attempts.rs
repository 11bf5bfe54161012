//! How often an attempt at a held event was begun since one came to an end: what ends its process leaves nothing else behind.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let adding = "ALTER TABLE inbox ADD COLUMN begun integer NOT NULL DEFAULT 0";
        manager.get_connection().execute_unprepared(adding).await?;
        Ok(())
    }
}
