//! Events of a backlog. They differ only in their ids, so that SQL can write them.

use anyhow::{Context as _, Result};
use contracts::Event as _;
use contracts::money::Money;
use contracts::order::v1::OrderPlaced;
use prost::{Message as _, Name as _};
use sea_orm::sqlx::{self, PgPool};
use uuid::Uuid;

/// A placeholder for an order's id, with the same length.
const PLACEHOLDER: &str = "00000000-0000-0000-0000-000000000000";

/// The correlation id of the events that are pending.
pub(super) const CORRELATION: &str = "backlog";
/// The correlation id of the events that were published before.
const PAST: &str = "past";

const SKUS: [&str; 3] = ["TEA-1", "CUP-2", "POT-3"];

/// In one statement. Each id begins with the time, as those of the services do, so an index gets new entries side by
/// side.
const FILL: &str = "
INSERT INTO angarium_outbox (event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type, aggregate_id, aggregate_version,
                             payload, correlation_id, created_at)
SELECT event_id, $2, $3, false, $4, 'order', order_id, 1, $5 || convert_to(order_id, 'UTF8') || $6, $7, now()
FROM (SELECT overlay(gen_random_uuid()::text placing time from 1 for 13)::uuid AS event_id,
             overlay(gen_random_uuid()::text placing time from 1 for 13) AS order_id
      FROM (SELECT overlay(lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint + number / 10), 12, '0')
                           placing '-' from 9 for 0) AS time
            FROM generate_series(1, $1) AS number) AS numbers) AS event";

/// Events that are already published.
const FILL_HISTORY: &str = "
INSERT INTO angarium_outbox_history (sequence, event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type,
                                     aggregate_id, aggregate_version, payload, correlation_id, created_at, published_at)
SELECT number, event_id, $2, $3, false, $4, 'order', order_id, 1, $5 || convert_to(order_id, 'UTF8') || $6, $7, now(), now()
FROM (SELECT number, overlay(gen_random_uuid()::text placing time from 1 for 13)::uuid AS event_id,
             overlay(gen_random_uuid()::text placing time from 1 for 13) AS order_id
      FROM (SELECT number, overlay(lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - number / 10), 12, '0')
                                   placing '-' from 9 for 0) AS time
            FROM generate_series(1, $1) AS number) AS numbers) AS event";

/// An `order.placed` of one user.
pub(crate) struct Template {
    event: OrderPlaced,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Template {
    pub(crate) fn new(user_id: &str) -> Result<Self> {
        let event = OrderPlaced {
            order_id: PLACEHOLDER.to_owned(),
            user_id: user_id.to_owned(),
            lines: SKUS.map(scenarios::caller::line).to_vec(),
            total_price: Some(Money {
                currency_code: "EUR".to_owned(),
                units: 27,
                nanos: 0,
            }),
            create_time: None,
        };
        let bytes = event.encode_to_vec();
        let place = bytes
            .windows(PLACEHOLDER.len())
            .position(|window| window == PLACEHOLDER.as_bytes())
            .context("the event does not hold its order's id")?;
        Ok(Self {
            before: bytes[..place].to_vec(),
            after: bytes[place + PLACEHOLDER.len()..].to_vec(),
            event,
        })
    }

    /// Writes `rows` events that wait to be published.
    pub(crate) async fn fill(&self, orders: &PgPool, rows: u64) -> Result<()> {
        self.write(FILL, CORRELATION, orders, rows).await?;
        // A real backlog grows slowly, and autovacuum keeps up with it; so vacuum here.
        settle(orders, "VACUUM (ANALYZE) angarium_outbox").await
    }

    /// Writes `rows` events that were published.
    pub(crate) async fn fill_history(&self, orders: &PgPool, rows: u64) -> Result<()> {
        self.write(FILL_HISTORY, PAST, orders, rows).await?;
        settle(orders, "VACUUM (ANALYZE) angarium_outbox_history").await
    }

    async fn write(
        &self,
        statement: &'static str,
        correlation: &str,
        orders: &PgPool,
        rows: u64,
    ) -> Result<()> {
        sqlx::query(statement)
            .bind(i64::try_from(rows)?)
            .bind(OrderPlaced::EXCHANGE)
            .bind(OrderPlaced::ROUTING_KEY)
            .bind(OrderPlaced::full_name())
            .bind(&self.before)
            .bind(&self.after)
            .bind(correlation)
            .execute(orders)
            .await?;
        Ok(())
    }

    /// The next event, with a new id.
    pub(crate) fn next(&self) -> (Uuid, OrderPlaced) {
        let event = OrderPlaced {
            order_id: Uuid::now_v7().to_string(),
            ..self.event.clone()
        };
        (Uuid::now_v7(), event)
    }
}

/// Vacuums and writes dirty pages, so that neither is part of the next measurement.
async fn settle(orders: &PgPool, vacuum: &'static str) -> Result<()> {
    for statement in [vacuum, "CHECKPOINT"] {
        sqlx::query(statement).execute(orders).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_sql_writes_can_be_read() {
        let user_id = Uuid::now_v7().to_string();
        let template = Template::new(&user_id).unwrap();
        let order_id = Uuid::now_v7().to_string();
        let parts = [&template.before, order_id.as_bytes(), &template.after];
        let event = OrderPlaced::decode(parts.concat().as_slice()).unwrap();
        assert_eq!(event.order_id, order_id);
        assert_eq!(event.user_id, user_id);
        assert_eq!(event.lines.len(), 3);
    }
}
