//! The names of the headers: CloudEvents attributes in the binary mode of its AMQP binding, and W3C trace context as text.
//!
//! Flat strings that do not begin with `x-`, because only those survive RabbitMQ's conversion between AMQP 0-9-1 and 1.0.

use std::collections::BTreeMap;

/// The preferred prefix of the CloudEvents AMQP binding; `cloudEvents:` is accepted from others.
const PREFIXES: [&str; 2] = ["cloudEvents_", "cloudEvents:"];

pub(crate) const ID: &str = "id";
pub(crate) const SOURCE: &str = "source";
pub(crate) const SPEC_VERSION: &str = "specversion";
pub(crate) const TYPE: &str = "type";
pub(crate) const TIME: &str = "time";
pub(crate) const SUBJECT: &str = "subject";
pub(crate) const PARTITION_KEY: &str = "partitionkey";
pub(crate) const SEQUENCE: &str = "sequence";

pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";
pub(crate) const BAGGAGE: &str = "baggage";
/// For measuring only: when the relay published the message, in Unix milliseconds.
pub(crate) const PUBLISHED_MS: &str = "angarium_published_ms";
/// For how many seconds the publisher can publish the event again.
pub(crate) const OUTBOX_RETENTION_S: &str = "angarium_outbox_retention_s";
/// The longest time between two checkpoints of the publisher.
pub(crate) const CHECKPOINT_INTERVAL_S: &str = "angarium_checkpoint_interval_s";

/// The message holds the state of its aggregate, and is no event of the history.
pub(crate) const STATE: &str = "angarium_state";

/// A transport that could not read a message adds this header, with the original as text.
pub const UNREADABLE: &str = "angarium_unreadable";

pub(crate) fn set(
    headers: &mut BTreeMap<String, String>,
    attribute: &str,
    value: impl Into<String>,
) {
    headers.insert(format!("{}{attribute}", PREFIXES[0]), value.into());
}

pub(crate) fn get<'a>(headers: &'a BTreeMap<String, String>, attribute: &str) -> Option<&'a str> {
    PREFIXES
        .iter()
        .find_map(|prefix| headers.get(&format!("{prefix}{attribute}")))
        .map(String::as_str)
}
