//! Orders, their lines, and the users that orders are taken for.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const ORDERS: &str = "
CREATE TABLE orders (
    order_id            text    PRIMARY KEY,
    user_id             text    NOT NULL,
    state               text    NOT NULL,
    currency            text    NOT NULL,
    total_units         bigint  NOT NULL,
    total_nanos         integer NOT NULL,
    version             bigint  NOT NULL,
    created_at_ms       bigint  NOT NULL,
    updated_at_ms       bigint  NOT NULL,
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
const KNOWN_USER: &str = "CREATE TABLE known_user (user_id text PRIMARY KEY)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [ORDERS, ORDER_LINE, KNOWN_USER] {
            manager.get_connection().execute_unprepared(table).await?;
        }
        Ok(())
    }
}
