//! Orders, their lines, and the known users.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

// With `line_count`, a page of orders is measured before its lines are read.
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
// Of the deletion, for the work that follows it.
const KNOWN_USER: &str = "
CREATE TABLE known_user (
    user_id           text   PRIMARY KEY,
    version           bigint NOT NULL,
    event_at_ms       bigint NOT NULL,
    handled_at_ms     bigint NOT NULL,
    deleted_at_ms     bigint,
    settled_at_ms     bigint,
    correlation_id    text,
    deletion_event_id text,
    traceparent       text,
    tracestate        text,
    baggage           text
)";

const ORDERS_BY_USER: &str = "CREATE INDEX orders_by_user ON orders (user_id, order_id)";
const ORDERS_BY_STATE: &str = "CREATE INDEX orders_by_state ON orders (state, order_id)";
// Only deletions with work left.
const UNSETTLED: &str = "
CREATE INDEX known_user_unsettled ON known_user (deleted_at_ms)
WHERE deleted_at_ms IS NOT NULL AND settled_at_ms IS NULL";
const LATEST: &str = "CREATE INDEX known_user_latest ON known_user (handled_at_ms)";

// For people.
const READABLE_ORDERS: &str = "
CREATE VIEW readable_orders AS
SELECT order_id, user_id, state, total_units + total_nanos / 1000000000.0 AS total, currency, line_count, version,
       {readable created_at_ms} AS created_at, {readable expires_at_ms} AS expires_at,
       {readable updated_at_ms} AS updated_at, {readable confirmed_at_ms} AS confirmed_at,
       {readable shipped_at_ms} AS shipped_at, carrier, tracking_number,
       {readable cancelled_at_ms} AS cancelled_at, cancellation_reason
FROM orders";
const READABLE_KNOWN_USER: &str = "
CREATE VIEW readable_known_user AS
SELECT user_id, version, {readable event_at_ms} AS event_at, {readable handled_at_ms} AS handled_at,
       {readable deleted_at_ms} AS deleted_at, {readable settled_at_ms} AS settled_at, correlation_id
FROM known_user";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = [
            ORDERS,
            ORDER_LINE,
            KNOWN_USER,
            ORDERS_BY_USER,
            ORDERS_BY_STATE,
            UNSETTLED,
            LATEST,
            READABLE_ORDERS,
            READABLE_KNOWN_USER,
        ];
        ::store::create(manager, &statements).await
    }
}
