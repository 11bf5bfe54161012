//! The key of page tokens, in a table of one row.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const PAGE_TOKEN_KEY: &str = "
CREATE TABLE page_token_key (
    id         integer PRIMARY KEY CHECK (id = 1),
    secret_key text    NOT NULL
)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        connection.execute_unprepared(PAGE_TOKEN_KEY).await?;
        Ok(())
    }
}
