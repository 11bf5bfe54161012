//! Writes mail rows from events: up to 100 events in one statement, with one ack.

use anyhow::{Context as _, Result};
use contracts::order::v1::OrderPlaced;
use futures::StreamExt as _;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use prost::Message as _;
use sea_orm::sqlx::{self, PgPool};
use uuid::Uuid;

use super::broker::QUEUE;

pub(crate) const BATCH: usize = 100;
const PREFETCH: u16 = 200;
const CONSUMER: &str = "floor";

/// A repeated event finds its inbox row and gets no mail.
const HANDLE: &str = "
WITH fresh AS (
    INSERT INTO inbox (consumer, event_id) SELECT $1, unnest($2::uuid[])
    ON CONFLICT DO NOTHING RETURNING event_id)
INSERT INTO mail (event_id, user_id, correlation_id, subject, body)
SELECT event_id, user_id, correlation_id, 'We have your order', body
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) AS arrived (event_id, user_id, correlation_id, body)
JOIN fresh USING (event_id)";

/// Events as columns, as the statement takes them.
#[derive(Default)]
pub(crate) struct Batch {
    event_ids: Vec<Uuid>,
    users: Vec<String>,
    correlations: Vec<String>,
    bodies: Vec<String>,
}

pub(crate) async fn run(pool: &PgPool, channel: &Channel) -> Result<()> {
    channel
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await?;
    let options = BasicConsumeOptions::default();
    let consuming = channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default());
    let mut arrived = consuming.await?.ready_chunks(BATCH);
    while let Some(deliveries) = arrived.next().await {
        let mut batch = Batch::default();
        let mut last = None;
        for delivery in deliveries {
            let delivery = delivery?;
            batch.take(&delivery)?;
            last = Some(delivery.delivery_tag);
        }
        batch.handle(pool).await?;
        let last = last.context("a batch is not empty")?;
        channel
            .basic_ack(last, BasicAckOptions { multiple: true })
            .await?;
    }
    anyhow::bail!("the broker ended the consumer")
}

impl Batch {
    fn take(&mut self, delivery: &Delivery) -> Result<()> {
        let properties = &delivery.properties;
        let id = properties.message_id().as_ref().context("no message id")?;
        let correlation = properties.correlation_id().as_ref();
        let event = OrderPlaced::decode(delivery.data.as_slice())?;
        let correlation = correlation.map(ToString::to_string);
        self.add(
            id.as_str().parse()?,
            &event,
            correlation.unwrap_or_default(),
        );
        Ok(())
    }

    pub(crate) fn add(&mut self, event_id: Uuid, event: &OrderPlaced, correlation_id: String) {
        let total = event.total_price.as_ref().map_or(0, |total| total.units);
        let lines = event.lines.iter();
        let lines: Vec<String> = lines
            .map(|line| format!("{} x {}", line.quantity, line.sku))
            .collect();
        let body = format!(
            "Order {}: {}. Total {total} EUR.",
            event.order_id,
            lines.join(", ")
        );
        self.event_ids.push(event_id);
        self.users.push(event.user_id.clone());
        self.correlations.push(correlation_id);
        self.bodies.push(body);
    }

    pub(crate) async fn handle(self, pool: &PgPool) -> Result<()> {
        sqlx::query(HANDLE)
            .bind(CONSUMER)
            .bind(self.event_ids)
            .bind(self.users)
            .bind(self.correlations)
            .bind(self.bodies)
            .execute(pool)
            .await?;
        Ok(())
    }
}
