//! What users log in with beside their passwords: sessions, codes of mails, counters of attempts, and the keys of tokens.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const SESSION: &str = "
CREATE TABLE session (
    session_id    text   PRIMARY KEY,
    user_id       text   NOT NULL,
    expires_at_ms bigint NOT NULL
)";
const SESSION_BY_USER: &str = "CREATE INDEX session_by_user ON session (user_id)";
const SESSION_BY_EXPIRY: &str = "CREATE INDEX session_by_expiry ON session (expires_at_ms)";
const REFRESH_TOKEN: &str = "
CREATE TABLE refresh_token (
    token_digest  text    PRIMARY KEY,
    session_id    text    NOT NULL REFERENCES session (session_id) ON DELETE CASCADE,
    expires_at_ms bigint  NOT NULL,
    is_used       boolean NOT NULL
)";
const REFRESH_TOKEN_BY_SESSION: &str =
    "CREATE INDEX refresh_token_by_session ON refresh_token (session_id)";
const MAIL_CODE: &str = "
CREATE TABLE mail_code (
    code_digest   text   PRIMARY KEY,
    purpose       text   NOT NULL,
    user_id       text   NOT NULL,
    email_key     text   NOT NULL,
    expires_at_ms bigint NOT NULL,
    UNIQUE (user_id, purpose)
)";
const LOGIN_ATTEMPT: &str = "
CREATE TABLE login_attempt (
    account          text   NOT NULL,
    address          text   NOT NULL,
    failures         bigint NOT NULL,
    blocked_until_ms bigint NOT NULL,
    last_at_ms       bigint NOT NULL,
    PRIMARY KEY (account, address)
)";
const LOGIN_ATTEMPT_BY_AGE: &str =
    "CREATE INDEX login_attempt_by_age ON login_attempt (last_at_ms)";
const BUCKET: &str = "
CREATE TABLE bucket (
    subject    text   PRIMARY KEY,
    full_at_ms bigint NOT NULL
)";
const BUCKET_BY_TIME: &str = "CREATE INDEX bucket_by_time ON bucket (full_at_ms)";
const SIGNING_KEY: &str = "
CREATE TABLE signing_key (
    key_id             text    PRIMARY KEY,
    sealed_private_key {bytes} NOT NULL,
    signs_from_ms      bigint  NOT NULL,
    signs_until_ms     bigint  NOT NULL,
    expires_at_ms      bigint  NOT NULL,
    version            bigint  NOT NULL
)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let bytes = match manager.get_database_backend() {
            sea_orm::DbBackend::Sqlite => "blob",
            _ => "bytea",
        };
        for statement in [
            SESSION,
            SESSION_BY_USER,
            SESSION_BY_EXPIRY,
            REFRESH_TOKEN,
            REFRESH_TOKEN_BY_SESSION,
            MAIL_CODE,
            LOGIN_ATTEMPT,
            LOGIN_ATTEMPT_BY_AGE,
            BUCKET,
            BUCKET_BY_TIME,
            SIGNING_KEY,
        ] {
            let statement = statement.replace("{bytes}", bytes);
            manager
                .get_connection()
                .execute_unprepared(&statement)
                .await?;
        }
        Ok(())
    }
}
