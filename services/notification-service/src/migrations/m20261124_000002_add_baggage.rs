//! What callers want carried along with a mail and its event, beside their trace.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let adding = "ALTER TABLE notification ADD COLUMN baggage text";
        manager.get_connection().execute_unprepared(adding).await?;
        Ok(())
    }
}
