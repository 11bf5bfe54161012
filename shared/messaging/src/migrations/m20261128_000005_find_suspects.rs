//! An index of the few held events at which an attempt was begun and never came to an end: a consumer asks for one of them before
//! each event that it takes up, and without it reads all that are due.

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
