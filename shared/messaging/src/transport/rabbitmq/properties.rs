//! Converts between our message and the properties of AMQP 0-9-1.

use std::collections::BTreeMap;

use event::Message;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::connection::{Connection, short};
use crate::transport::TransportError;

/// Written to disk before it is confirmed.
const PERSISTENT: u8 = 2;

pub(super) fn to_amqp(message: &Message) -> Result<BasicProperties, TransportError> {
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_headers(table(&message.headers)?);
    if let Some(id) = &message.message_id {
        properties = properties.with_message_id(short(id)?);
    }
    if let Some(event_type) = &message.event_type {
        properties = properties.with_type(short(event_type)?);
    }
    if let Some(content_type) = &message.content_type {
        properties = properties.with_content_type(short(content_type)?);
    }
    if let Some(correlation_id) = &message.correlation_id {
        properties = properties.with_correlation_id(short(correlation_id)?);
    }
    if let Some(app_id) = &message.app_id {
        properties = properties.with_app_id(short(app_id)?);
    }
    if let Some(timestamp) = message.timestamp_s {
        properties = properties.with_timestamp(timestamp);
    }
    Ok(properties)
}

pub(super) fn from_amqp(connection: &Connection, delivery: Delivery) -> Message {
    let Delivery {
        exchange,
        routing_key,
        properties,
        data,
        ..
    } = delivery;
    let owned = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string);
    let (exchange, routing_key) = origin(properties.headers().as_ref())
        .unwrap_or((exchange.to_string(), routing_key.to_string()));
    Message {
        exchange: connection.own_name(&exchange),
        routing_key,
        message_id: owned(properties.message_id()),
        event_type: owned(properties.kind()),
        content_type: owned(properties.content_type()),
        correlation_id: owned(properties.correlation_id()),
        app_id: owned(properties.app_id()),
        timestamp_s: *properties.timestamp(),
        headers: properties
            .headers()
            .as_ref()
            .map(text_headers)
            .unwrap_or_default(),
        body: data.into(),
    }
}

/// Dead-lettering replaces exchange and routing key, and records the earlier ones in `x-death`, the latest first.
fn origin(headers: Option<&FieldTable>) -> Option<(String, String)> {
    let AMQPValue::FieldArray(deaths) = headers?.inner().get("x-death")? else {
        return None;
    };
    let AMQPValue::FieldTable(first) = deaths.as_slice().last()? else {
        return None;
    };
    let AMQPValue::FieldArray(keys) = first.inner().get("routing-keys")? else {
        return None;
    };
    let exchange = as_text(first.inner().get("exchange")?)?;
    Some((exchange, as_text(keys.as_slice().first()?)?))
}

fn table(headers: &BTreeMap<String, String>) -> Result<FieldTable, TransportError> {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert(short(name)?, AMQPValue::LongString(value.as_str().into()));
    }
    Ok(table)
}

fn text_headers(table: &FieldTable) -> BTreeMap<String, String> {
    table
        .inner()
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), as_text(value)?)))
        .collect()
}

fn as_text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok().map(str::to_owned),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}
