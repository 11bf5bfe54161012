//! The calls with a request_id, and their answers.

use sea_orm_migration::prelude::*;

use super::ddl;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

// `response` is null only inside the transaction that makes the answer.
const IDEMPOTENCY: &str = "
CREATE TABLE idempotency (
    caller        text   NOT NULL,
    method        text   NOT NULL,
    request_id    text   NOT NULL,
    request_hash  text   NOT NULL,
    response      {bytes},
    created_at_ms bigint NOT NULL,
    PRIMARY KEY (caller, method, request_id)
)";
const BY_AGE: &str = "CREATE INDEX idempotency_by_age ON idempotency (created_at_ms)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let table = ddl(IDEMPOTENCY, manager);
        connection.execute_unprepared(&table).await?;
        connection.execute_unprepared(BY_AGE).await?;
        Ok(())
    }
}
