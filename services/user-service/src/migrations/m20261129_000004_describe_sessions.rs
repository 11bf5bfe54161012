//! When a session began, and when and from where it was last used. The previous release writes no such values, so each
//! column may be null.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const CREATED: &str = "ALTER TABLE session ADD COLUMN created_at_ms bigint";
const LAST_USED: &str = "ALTER TABLE session ADD COLUMN last_used_at_ms bigint";
const CLIENT: &str = "ALTER TABLE session ADD COLUMN client_address text";
const NO_VIEW: &str = "DROP VIEW readable_session";
const VIEW: &str = "
CREATE VIEW readable_session AS
SELECT session_id, user_id, {readable expires_at_ms} AS expires_at, {readable created_at_ms} AS created_at,
       {readable last_used_at_ms} AS last_used_at, client_address
FROM session";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = [CREATED, LAST_USED, CLIENT, NO_VIEW, VIEW];
        ::store::create(manager, &statements).await
    }
}
