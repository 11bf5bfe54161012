//! A message as a transport moves it: the AMQP 0-9-1 properties that we use, text headers, and the body.
//!
//! It is what is stored when a delivery has to wait or is given up on, so that a replay hands over exactly what arrived.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::envelope::MAX_ATTRIBUTE_BYTES;
use crate::{TraceContext, headers};

/// The largest body that is published: CloudEvents asks intermediaries to forward no more than 64 KiB.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// One message, to a transport or from it. Whatever a sender may leave out is optional: judging it is
/// [`Envelope::from_message`](crate::Envelope::from_message)'s work, not the transport's.
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
    /// AMQP `app-id`: the service that published it.
    pub app_id: Option<String>,
    /// AMQP `timestamp`, in whole seconds of Unix time.
    pub timestamp_s: Option<u64>,
    /// Text headers. Headers of other types are not part of the contract; a transport leaves them out.
    pub headers: BTreeMap<String, String>,
    /// The bare protobuf message.
    pub body: Bytes,
}

impl Message {
    /// Notes when it is handed over, in Unix milliseconds: consumers measure by it how long it was in the queue.
    pub fn set_published_ms(&mut self, now_ms: i64) {
        let name = headers::PUBLISHED_MS.to_owned();
        self.headers.insert(name, now_ms.to_string());
    }

    /// When it was handed over, by the publisher's clock. `None` where the publisher did not say, as foreign ones do not.
    pub fn published_ms(&self) -> Option<i64> {
        self.headers.get(headers::PUBLISHED_MS)?.parse().ok()
    }

    /// Notes for how long its publisher keeps it, in whole seconds: for so long it can be published again.
    pub fn set_outbox_retention_s(&mut self, retention_s: u64) {
        let name = headers::OUTBOX_RETENTION_S.to_owned();
        self.headers.insert(name, retention_s.to_string());
    }

    /// For how long its publisher can publish it again. `None` where the publisher did not say.
    pub fn outbox_retention_s(&self) -> Option<u64> {
        self.headers.get(headers::OUTBOX_RETENTION_S)?.parse().ok()
    }

    /// What ties it to the call that has caused it: the event's own id where the sender did not say, or said too much.
    pub fn correlation_id(&self, event_id: &str) -> String {
        let given = self.correlation_id.as_deref();
        let kept = given.filter(|given| given.len() <= MAX_ATTRIBUTE_BYTES);
        kept.unwrap_or(event_id).to_owned()
    }

    /// The trace that it belongs to, also where it is no event of ours.
    pub fn trace(&self) -> TraceContext {
        let header = |name| self.headers.get(name).map(String::as_str);
        TraceContext::accept(
            header(headers::TRACEPARENT),
            header(headers::TRACESTATE),
            header(headers::BAGGAGE),
        )
    }
}
