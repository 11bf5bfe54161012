//! An index of the few held events with an attempt that began and never ended. A consumer looks for one before each event that
//! it handles; without the index it would read all due events.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let indexing = "CREATE INDEX inbox_suspect ON inbox (consumer, due_at_ms) WHERE begun > 0";
        manager
            .get_connection()
            .execute_unprepared(indexing)
            .await?;
        Ok(())
    }
}
