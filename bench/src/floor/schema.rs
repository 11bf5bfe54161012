//! The tables of the floor: orders with their lines, an outbox with three indexes, an inbox, and mail rows.

use anyhow::Result;
use sea_orm::sqlx::{self, PgPool};

const TABLES: [&str; 7] = [
    "CREATE TABLE orders (
        order_id    uuid   PRIMARY KEY,
        user_id     text   NOT NULL,
        state       text   NOT NULL,
        currency    text   NOT NULL,
        total_units bigint NOT NULL,
        version     bigint NOT NULL)",
    "CREATE TABLE order_line (
        order_id    uuid    NOT NULL REFERENCES orders (order_id),
        position    bigint  NOT NULL,
        sku         text    NOT NULL,
        quantity    integer NOT NULL,
        price_units bigint  NOT NULL,
        PRIMARY KEY (order_id, position))",
    "CREATE TABLE outbox (
        sequence       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        event_id       uuid   NOT NULL,
        aggregate_id   uuid   NOT NULL,
        version        bigint NOT NULL,
        payload        bytea  NOT NULL,
        correlation_id text   NOT NULL,
        created_at     timestamptz NOT NULL DEFAULT now(),
        published_at   timestamptz,
        UNIQUE (aggregate_id, version))",
    "CREATE INDEX outbox_pending ON outbox (sequence) WHERE published_at IS NULL",
    "CREATE TABLE inbox (
        consumer    text NOT NULL,
        event_id    uuid NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (consumer, event_id))",
    "CREATE TABLE mail (
        mail_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        event_id       uuid NOT NULL,
        user_id        text NOT NULL,
        correlation_id text NOT NULL,
        subject        text NOT NULL,
        body           text NOT NULL)",
    "CREATE INDEX mail_by_user ON mail (user_id, mail_id)",
];

pub(crate) async fn create(pool: &PgPool) -> Result<()> {
    for statement in TABLES {
        sqlx::query(statement).execute(pool).await?;
    }
    Ok(())
}
