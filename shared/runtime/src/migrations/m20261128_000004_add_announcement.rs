//! Adds the time of the issuer's last announcement of a key: an older token has a known key, or is forged.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let adding = "ALTER TABLE verification_key ADD COLUMN announced_at_ms bigint";
        manager.get_connection().execute_unprepared(adding).await?;
        Ok(())
    }
}
