//! What is left to be done where a user was deleted: the mark that all of it is, and why it is done.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

// Who was erased before has nothing left: the first look finds that, and marks it.
const SETTLED: &str = "ALTER TABLE recipient ADD COLUMN settled_at_ms bigint";
const CAUSE: &str = "ALTER TABLE recipient ADD COLUMN correlation_id text";
const UNSETTLED: &str = "
CREATE INDEX recipient_unsettled ON recipient (erased_at_ms) WHERE erased_at_ms IS NOT NULL AND settled_at_ms IS NULL";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in [SETTLED, CAUSE, UNSETTLED] {
            manager
                .get_connection()
                .execute_unprepared(statement)
                .await?;
        }
        Ok(())
    }
}
