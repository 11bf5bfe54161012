//! Users and their credentials: passwords, sessions, codes, counters of attempts, and the keys of tokens.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

// Named, so that the store recognises it in errors.
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

// For people; no hash and no key.
const READABLE_USERS: &str = "
CREATE VIEW readable_users AS
SELECT user_id, email, email_verified, display_name, version,
       {readable created_at_ms} AS created_at, {readable updated_at_ms} AS updated_at
FROM users";
const READABLE_SESSION: &str = "
CREATE VIEW readable_session AS
SELECT session_id, user_id, {readable expires_at_ms} AS expires_at FROM session";
const READABLE_LOGIN_ATTEMPT: &str = "
CREATE VIEW readable_login_attempt AS
SELECT account, address, failures, {readable blocked_until_ms} AS blocked_until, {readable last_at_ms} AS last_at
FROM login_attempt";
const READABLE_SIGNING_KEY: &str = "
CREATE VIEW readable_signing_key AS
SELECT key_id, version, {readable signs_from_ms} AS signs_from, {readable signs_until_ms} AS signs_until,
       {readable expires_at_ms} AS expires_at
FROM signing_key";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = [
            USERS,
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
            READABLE_USERS,
            READABLE_SESSION,
            READABLE_LOGIN_ATTEMPT,
            READABLE_SIGNING_KEY,
        ];
        ::store::create(manager, &statements).await
    }
}
