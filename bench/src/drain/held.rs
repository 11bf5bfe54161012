//! Events that an inbox holds and that are due: as after a long outage of what a handler needs.

use anyhow::Result;
use bytes::Bytes;
use contracts::Event as _;
use contracts::order::v1::OrderPlaced;
use event::{Envelope, TraceContext};
use prost::{Message as _, Name as _};
use sea_orm::sea_query::{Alias, Expr, Query, SimpleExpr};
use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use serde_json::json;
use uuid::Uuid;

use super::consumer::is_postgres;
use super::seed::Template;

/// The correlation id of all of them.
pub(super) const CORRELATION: &str = "held";
/// The consumer, which has the name of its queue.
pub(super) const CONSUMER: &str = "notifications_queue";
/// Rows of one statement: SQLite takes 32,766 parameters.
const ROWS: u64 = 1000;

const COLUMNS: [&str; 13] = [
    "consumer",
    "event_id",
    "state",
    "event_type",
    "aggregate_type",
    "aggregate_id",
    "aggregate_version",
    "received_at",
    "due_at",
    "exchange",
    "routing_key",
    "properties",
    "body",
];

/// Writes `rows` events that are held and due.
pub(super) async fn fill(mails: &DatabaseConnection, event: &Template, rows: u64) -> Result<()> {
    let mut left = rows;
    while left > 0 {
        let size = left.min(ROWS);
        let mut insert = Query::insert();
        insert
            .into_table(Alias::new("angarium_inbox"))
            .columns(COLUMNS.map(Alias::new));
        for _ in 0..size {
            insert.values_panic(row(is_postgres(mails), event));
        }
        mails.execute(&insert).await?;
        left -= size;
    }
    let settle = if is_postgres(mails) {
        ["VACUUM (ANALYZE) angarium_inbox", "CHECKPOINT"]
    } else {
        ["ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"]
    };
    for statement in settle {
        mails.execute_unprepared(statement).await?;
    }
    Ok(())
}

fn row(postgres: bool, template: &Template) -> Vec<SimpleExpr> {
    let (id, event) = template.next();
    let order_id = event.order_id.clone();
    let envelope = Envelope {
        id,
        event_type: OrderPlaced::full_name(),
        source: "order-service".to_owned(),
        time_ms: now_ms(id),
        aggregate_id: order_id.clone(),
        aggregate_version: Some(1),
        correlation_id: CORRELATION.to_owned(),
        trace: TraceContext::default(),
    };
    let body = event.encode_to_vec();
    let message = envelope.to_message(
        OrderPlaced::EXCHANGE,
        OrderPlaced::ROUTING_KEY,
        Bytes::from(body.clone()),
    );
    let properties = json!({
        "message_id": message.message_id,
        "type": message.event_type,
        "content_type": message.content_type,
        "correlation_id": message.correlation_id,
        "app_id": message.app_id,
        "timestamp": message.timestamp_s,
        "headers": message.headers,
    });
    let (id, now): (SimpleExpr, SimpleExpr) = if postgres {
        (Expr::value(id), Expr::cust("now()"))
    } else {
        (Expr::value(id.to_string()), Expr::value(envelope.time_ms))
    };
    vec![
        Expr::value(CONSUMER),
        id,
        Expr::value("deferred"),
        Expr::value(envelope.event_type),
        Expr::value("order"),
        Expr::value(order_id),
        Expr::value(1_i64),
        now.clone(),
        now,
        Expr::value(OrderPlaced::EXCHANGE),
        Expr::value(OrderPlaced::ROUTING_KEY),
        Expr::value(properties.to_string()),
        Expr::value(body),
    ]
}

/// A version 7 UUID begins with its time.
fn now_ms(id: Uuid) -> i64 {
    let time = id.get_timestamp().map_or(0, |time| {
        let (seconds, nanos) = time.to_unix();
        seconds * 1000 + u64::from(nanos) / 1_000_000
    });
    i64::try_from(time).unwrap_or(0)
}
