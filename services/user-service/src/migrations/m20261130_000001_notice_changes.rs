//! The places of a user's logins, the first login, and the announced roles. The previous release writes none of it: the
//! first login here counts as the first.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const KNOWN_PLACE: &str = "
CREATE TABLE known_place (
    user_id          text   NOT NULL,
    place_digest     text   NOT NULL,
    last_login_at_ms bigint NOT NULL,
    PRIMARY KEY (user_id, place_digest)
)";
const KNOWN_PLACE_BY_AGE: &str =
    "CREATE INDEX known_place_by_age ON known_place (last_login_at_ms)";
const FIRST_LOGIN: &str = "ALTER TABLE users ADD COLUMN first_login_at_ms bigint";
const ANNOUNCED_ROLE: &str = "
CREATE TABLE announced_role (
    user_id text PRIMARY KEY,
    role    text NOT NULL
)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = [KNOWN_PLACE, KNOWN_PLACE_BY_AGE, FIRST_LOGIN, ANNOUNCED_ROLE];
        ::store::create(manager, &statements).await
    }
}
