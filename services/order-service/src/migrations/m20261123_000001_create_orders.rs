//! Orders, their lines, and the users that orders are taken for.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

// `line_count` lets a page of orders be measured before their lines are read.
const ORDERS: &str = "
CREATE TABLE orders (
    order_id            text    PRIMARY KEY,
    user_id             text    NOT NULL,
    state               text    NOT NULL,
    currency            text    NOT NULL,
    total_units         bigint  NOT NULL,
    total_nanos         integer NOT NULL,
    line_count          integer NOT NULL,
    version             bigint  NOT NULL,
    created_at_ms       bigint  NOT NULL,
    expires_at_ms       bigint  NOT NULL,
    updated_at_ms       bigint  NOT NULL,
    confirmed_at_ms     bigint,
    shipped_at_ms       bigint,
    carrier             text,
    tracking_number     text,
    cancelled_at_ms     bigint,
    cancellation_reason text
)";
const ORDER_LINE: &str = "
CREATE TABLE order_line (
    order_id    text    NOT NULL REFERENCES orders (order_id) ON DELETE CASCADE,
    position    integer NOT NULL,
    sku         text    NOT NULL,
    quantity    integer NOT NULL,
    currency    text    NOT NULL,
    price_units bigint  NOT NULL,
    price_nanos integer NOT NULL,
    PRIMARY KEY (order_id, position)
)";
// The deletion's correlation id is kept for what has to be done about it.
const KNOWN_USER: &str = "
CREATE TABLE known_user (
    user_id        text   PRIMARY KEY,
    version        bigint NOT NULL,
    event_at_ms    bigint NOT NULL,
    handled_at_ms  bigint NOT NULL,
    deleted_at_ms  bigint,
    settled_at_ms  bigint,
    correlation_id text
)";

const ORDERS_BY_USER: &str = "CREATE INDEX orders_by_user ON orders (user_id, order_id)";
const ORDERS_BY_STATE: &str = "CREATE INDEX orders_by_state ON orders (state, order_id)";
// Partial, so that it holds who is still to be settled and not who ever was deleted.
const UNSETTLED: &str = "
CREATE INDEX known_user_unsettled ON known_user (deleted_at_ms)
WHERE deleted_at_ms IS NOT NULL AND settled_at_ms IS NULL";
const LATEST: &str = "CREATE INDEX known_user_latest ON known_user (handled_at_ms)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in [
            ORDERS,
            ORDER_LINE,
            KNOWN_USER,
            ORDERS_BY_USER,
            ORDERS_BY_STATE,
            UNSETTLED,
            LATEST,
        ] {
            manager
                .get_connection()
                .execute_unprepared(statement)
                .await?;
        }
        Ok(())
    }
}
