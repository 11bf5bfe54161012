//! Public keys of access tokens, answers to calls with a request_id, and the key of page tokens.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

// `announced_at`: by the issuer. An older token has a known key, or is forged.
const VERIFICATION_KEY: &str = "
CREATE TABLE angarium_verification_key (
    key_id       text    PRIMARY KEY,
    public_key   {bytes} NOT NULL,
    expires_at   {time}  NOT NULL,
    announced_at {time}
)";

// `response` is null only inside the transaction that creates the answer.
const IDEMPOTENCY: &str = "
CREATE TABLE angarium_idempotency (
    caller       text   NOT NULL,
    method       text   NOT NULL,
    request_id   text   NOT NULL,
    request_hash text   NOT NULL,
    response     {bytes},
    created_at   {time} NOT NULL,
    PRIMARY KEY (caller, method, request_id)
)";
const IDEMPOTENCY_BY_AGE: &str =
    "CREATE INDEX angarium_idempotency_by_age ON angarium_idempotency (created_at)";

// One row.
const PAGE_TOKEN_KEY: &str = "
CREATE TABLE angarium_page_token_key (
    id         integer PRIMARY KEY CHECK (id = 1),
    secret_key text    NOT NULL
)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = [
            VERIFICATION_KEY,
            IDEMPOTENCY,
            IDEMPOTENCY_BY_AGE,
            PAGE_TOKEN_KEY,
        ];
        store::create(manager, &statements).await
    }
}
