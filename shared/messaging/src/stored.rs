//! A message's properties as one JSON column: reading it back gives exactly what arrived.
//!
//! An unreadable row (a damaged file, a manual change) becomes a message with the readable parts and the header
//! [`UNREADABLE`]: a dead letter, so later rows continue.

use std::collections::BTreeMap;

use bytes::Bytes;
use event::{Message, UNREADABLE};
use sea_orm::{DbErr, QueryResult};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Properties {
    message_id: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    content_type: Option<String>,
    correlation_id: Option<String>,
    app_id: Option<String>,
    timestamp: Option<u64>,
    headers: BTreeMap<String, String>,
}

pub(crate) fn properties(message: &Message) -> String {
    let properties = Properties {
        message_id: message.message_id.clone(),
        event_type: message.event_type.clone(),
        content_type: message.content_type.clone(),
        correlation_id: message.correlation_id.clone(),
        app_id: message.app_id.clone(),
        timestamp: message.timestamp_s,
        headers: message.headers.clone(),
    };
    // Strings, numbers and a map with string keys are always valid JSON.
    serde_json::to_string(&properties).unwrap_or_default()
}

pub(crate) fn message(row: &QueryResult) -> Message {
    read(row).unwrap_or_else(|error| unreadable(row, &error))
}

fn read(row: &QueryResult) -> Result<Message, DbErr> {
    let properties: String = row.try_get("", "properties")?;
    let properties: Properties = serde_json::from_str(&properties)
        .map_err(|error| DbErr::Type(format!("stored properties: {error}")))?;
    Ok(Message {
        exchange: row.try_get("", "exchange")?,
        routing_key: row.try_get("", "routing_key")?,
        message_id: properties.message_id,
        event_type: properties.event_type,
        content_type: properties.content_type,
        correlation_id: properties.correlation_id,
        app_id: properties.app_id,
        timestamp_s: properties.timestamp,
        headers: properties.headers,
        body: Bytes::from(row.try_get::<Vec<u8>>("", "body")?),
    })
}

fn unreadable(row: &QueryResult, error: &DbErr) -> Message {
    let text = |column| String::from_utf8_lossy(&bytes(row, column)).into_owned();
    let found = bytes(row, "properties").escape_ascii().to_string();
    let found = format!("its row is damaged ({error}), with the properties {found}");
    Message {
        exchange: text("exchange"),
        routing_key: text("routing_key"),
        headers: BTreeMap::from([(UNREADABLE.to_owned(), found)]),
        body: bytes(row, "body").into(),
        ..Message::default()
    }
}

/// SQLite stores any value in any column.
fn bytes(row: &QueryResult, column: &str) -> Vec<u8> {
    let text = || row.try_get::<String>("", column).map(String::into_bytes);
    let number = || {
        row.try_get::<i64>("", column)
            .map(|n| n.to_string().into_bytes())
    };
    let value = row.try_get::<Vec<u8>>("", column).or_else(|_| text());
    value.or_else(|_| number()).unwrap_or_default()
}
