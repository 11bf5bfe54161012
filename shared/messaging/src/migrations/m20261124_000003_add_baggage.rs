//! What callers want carried along with an event, beside its trace.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let adding = "ALTER TABLE outbox ADD COLUMN baggage text";
        manager.get_connection().execute_unprepared(adding).await?;
        Ok(())
    }
}
