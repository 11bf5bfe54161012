//! The trace of a user's deletion, in which their orders are settled later.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["traceparent", "tracestate", "baggage"] {
            let adding = format!("ALTER TABLE known_user ADD COLUMN {column} text");
            manager.get_connection().execute_unprepared(&adding).await?;
        }
        Ok(())
    }
}
