//! The users, with what they log in with.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

// The constraint has a name because the store tells by it what is taken.
const USERS: &str = "
CREATE TABLE users (
    user_id        text    PRIMARY KEY,
    email          text    NOT NULL,
    email_key      text    NOT NULL CONSTRAINT users_email_key UNIQUE,
    email_verified boolean NOT NULL,
    display_name   text    NOT NULL,
    password_hash  text    NOT NULL,
    version        bigint  NOT NULL,
    created_at_ms  bigint  NOT NULL,
    updated_at_ms  bigint  NOT NULL
)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(USERS).await?;
        Ok(())
    }
}
