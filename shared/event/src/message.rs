//! A message as a transport moves it: the AMQP 0-9-1 properties that we use, text headers, and the body.
//!
//! Waiting and dead deliveries are stored in this form, so that a replay hands over exactly what arrived.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::envelope::MAX_ATTRIBUTE_BYTES;
use crate::{TraceContext, headers};

/// The largest body that may be published. CloudEvents asks intermediaries to forward at least 64 KiB.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// One message, to or from a transport. Everything that a sender may omit is optional:
/// [`Envelope::from_message`](crate::Envelope::from_message) validates it, not the transport.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The exchange that it was published to.
    pub exchange: String,
    /// The routing key that it was published with.
    pub routing_key: String,
    /// AMQP `message-id`: the event's id.
    pub message_id: Option<String>,
    /// AMQP `type`: the protobuf full name.
    pub event_type: Option<String>,
    /// AMQP `content-type`.
    pub content_type: Option<String>,
    /// AMQP `correlation-id`.
    pub correlation_id: Option<String>,
    /// AMQP `app-id`: the publishing service.
    pub app_id: Option<String>,
    /// AMQP `timestamp`, in whole seconds of Unix time.
    pub timestamp_s: Option<u64>,
    /// Text headers. Headers of other types are not part of the contract; a transport drops them.
    pub headers: BTreeMap<String, String>,
    /// The encoded protobuf message.
    pub body: Bytes,
}

impl Message {
    /// Records when it is published, in Unix milliseconds.
    pub fn set_published_ms(&mut self, now_ms: i64) {
        let name = headers::PUBLISHED_MS.to_owned();
        self.headers.insert(name, now_ms.to_string());
    }

    /// When it was published, by the publisher's clock. `None` for foreign publishers.
    pub fn published_ms(&self) -> Option<i64> {
        self.headers.get(headers::PUBLISHED_MS)?.parse().ok()
    }

    /// Records for how many seconds its publisher keeps it and can publish it again.
    pub fn set_outbox_retention_s(&mut self, retention_s: u64) {
        let name = headers::OUTBOX_RETENTION_S.to_owned();
        self.headers.insert(name, retention_s.to_string());
    }

    /// For how many seconds its publisher can publish it again. `None` if unknown.
    pub fn outbox_retention_s(&self) -> Option<u64> {
        self.headers.get(headers::OUTBOX_RETENTION_S)?.parse().ok()
    }

    /// Records the longest time between two checkpoints of its publisher, in seconds.
    pub fn set_checkpoint_interval_s(&mut self, interval_s: u64) {
        let name = headers::CHECKPOINT_INTERVAL_S.to_owned();
        self.headers.insert(name, interval_s.to_string());
    }

    /// The longest time between two checkpoints of its publisher, in seconds. `None` if unknown.
    pub fn checkpoint_interval_s(&self) -> Option<u64> {
        let interval = self.headers.get(headers::CHECKPOINT_INTERVAL_S)?;
        interval.parse().ok()
    }

    /// Marks it as the state of its aggregate at its version: it replaces all earlier events of the aggregate.
    pub fn set_state(&mut self) {
        self.headers
            .insert(headers::STATE.to_owned(), "true".to_owned());
    }

    /// Whether it is the state of its aggregate.
    pub fn is_state(&self) -> bool {
        self.headers.contains_key(headers::STATE)
    }

    /// The id that joins it to the call that caused it; the event's own id if the sender gave none, or a too long one.
    pub fn correlation_id(&self, event_id: &str) -> String {
        let given = self.correlation_id.as_deref();
        let kept = given.filter(|given| given.len() <= MAX_ATTRIBUTE_BYTES);
        kept.unwrap_or(event_id).to_owned()
    }

    /// Its trace, even if it is not one of our events.
    pub fn trace(&self) -> TraceContext {
        let header = |name| self.headers.get(name).map(String::as_str);
        TraceContext::accept(
            header(headers::TRACEPARENT),
            header(headers::TRACESTATE),
            header(headers::BAGGAGE),
        )
    }
}
