//! The public keys that access tokens are verified by.

use sea_orm_migration::prelude::*;

use super::ddl;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const VERIFICATION_KEY: &str = "
CREATE TABLE verification_key (
    key_id        text    PRIMARY KEY,
    public_key    {bytes} NOT NULL,
    expires_at_ms bigint  NOT NULL
)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = ddl(VERIFICATION_KEY, manager);
        manager.get_connection().execute_unprepared(&table).await?;
        Ok(())
    }
}
