//! Writes docs/asyncapi.json, the event catalogue as an AsyncAPI 3 document for programs.
//!
//! One channel per event: its routing key on its topic exchange. The payload is the text of the proto file.

use anyhow::{Context as _, Result};
use contracts::{EVENTS, EventInfo};
use prost_reflect::DescriptorPool;
use serde_json::{Map, Value, json};

use crate::comments;

pub(crate) fn write(pool: &DescriptorPool) -> Result<String> {
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for event in EVENTS {
        let name = short_name(event);
        channels.insert(event.routing_key.to_owned(), channel(event));
        operations.insert(format!("publish{name}"), operation(event));
        messages.insert(name.to_owned(), message(pool, event)?);
    }
    let document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Angarium events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every state change of the services, published over RabbitMQ after its transaction has committed. Delivery is at least once: \
                            the message id is the event's id; consumers use it to detect duplicates.",
            "license": {"name": "MIT OR Apache-2.0"}
        },
        "defaultContentType": "application/protobuf",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "messageTraits": {"event": {"headers": headers()}}}
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn channel(event: &EventInfo) -> Value {
    json!({
        "address": event.routing_key,
        "messages": {short_name(event): {"$ref": format!("#/components/messages/{}", short_name(event))}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": event.exchange, "type": "topic", "durable": true, "autoDelete": false, "vhost": "/"},
                "bindingVersion": "0.3.0"
            }
        }
    })
}

fn operation(event: &EventInfo) -> Value {
    json!({
        "action": "send",
        "channel": {"$ref": format!("#/channels/{}", event.routing_key)},
        "bindings": {"amqp": {"deliveryMode": 2, "mandatory": true, "timestamp": true, "bindingVersion": "0.3.0"}}
    })
}

fn message(pool: &DescriptorPool, event: &EventInfo) -> Result<Value> {
    let message = pool.get_message_by_name(event.type_name);
    let message = message.with_context(|| format!("{} is not there", event.type_name))?;
    Ok(json!({
        "name": event.type_name,
        "title": short_name(event),
        "description": comments::of_message(&message),
        "contentType": "application/protobuf",
        "x-aggregate": {"name": event.aggregate, "idField": event.aggregate_id_field},
        "bindings": {"amqp": {"messageType": event.type_name, "bindingVersion": "0.3.0"}},
        "correlationId": {"location": "$message.header#/correlation_id", "description": "One id for everything that one call caused"},
        "traits": [{"$ref": "#/components/messageTraits/event"}],
        "payload": {
            "schemaFormat": "application/vnd.google.protobuf;version=3",
            "schema": source(message.parent_file().name())?
        }
    }))
}

fn source(file: &str) -> Result<String> {
    let path = crate::root().join("proto").join(file);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

fn headers() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "type": "object",
        "required": ["cloudEvents_id", "cloudEvents_source", "cloudEvents_specversion", "cloudEvents_type", "cloudEvents_subject"],
        "properties": {
            "cloudEvents_specversion": text("1.0"),
            "cloudEvents_id": text("The event's id, a UUIDv7; also the AMQP message id"),
            "cloudEvents_source": text("The publishing service, as /angarium/order-service"),
            "cloudEvents_type": text("The protobuf full name; also the AMQP type"),
            "cloudEvents_time": text("When it was created, RFC 3339"),
            "cloudEvents_subject": text("The id of the aggregate; x-aggregate of the message is its kind"),
            "cloudEvents_partitionkey": text("The same id: events with one key are published in order"),
            "cloudEvents_sequence": text("The aggregate's version from 1, zero-padded to 19 digits"),
            "traceparent": text("W3C Trace Context of the span that created the event"),
            "tracestate": text("Vendor-specific trace state"),
            "baggage": text("W3C Baggage: the entries that the configuration allows"),
            "angarium_outbox_retention_s": text("For how many seconds the publisher can publish it again; a consumer must remember its id for longer"),
            "angarium_checkpoint_interval_s": text("The longest time between two checkpoints of the publisher, in seconds; a consumer shows when none comes"),
            "angarium_published_ms": text("When it was published to the broker, in Unix milliseconds; for measuring only")
        }
    })
}

fn short_name(event: &EventInfo) -> &str {
    event
        .type_name
        .rsplit('.')
        .next()
        .unwrap_or(event.type_name)
}
