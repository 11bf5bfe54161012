//! The message of an envelope.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{CONTENT_TYPE, Envelope};
use crate::Message;
use crate::headers::{self, set};

impl Envelope {
    /// The message that carries this event.
    pub fn to_message(&self, exchange: &str, routing_key: &str, body: bytes::Bytes) -> Message {
        let mut message = Message {
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            message_id: Some(self.id.to_string()),
            event_type: Some(self.event_type.clone()),
            content_type: Some(CONTENT_TYPE.to_owned()),
            correlation_id: Some(self.correlation_id.clone()),
            app_id: Some(self.source.clone()),
            timestamp_s: u64::try_from(self.time_ms / 1000).ok(),
            body,
            ..Message::default()
        };
        let headers = &mut message.headers;
        set(headers, headers::SPEC_VERSION, "1.0");
        set(headers, headers::ID, self.id.to_string());
        set(
            headers,
            headers::SOURCE,
            format!("/angarium/{}", self.source),
        );
        set(headers, headers::TYPE, &self.event_type);
        set(headers, headers::SUBJECT, &self.aggregate_id);
        set(headers, headers::PARTITION_KEY, &self.aggregate_id);
        if let Some(time) = rfc3339(self.time_ms) {
            set(headers, headers::TIME, time);
        }
        if let Some(version) = self.aggregate_version {
            // Padded: the extension's values are compared as text.
            set(headers, headers::SEQUENCE, format!("{version:019}"));
        }
        if let Some(parent) = &self.trace.traceparent {
            headers.insert(headers::TRACEPARENT.to_owned(), parent.clone());
        }
        if let Some(state) = &self.trace.tracestate {
            headers.insert(headers::TRACESTATE.to_owned(), state.clone());
        }
        if let Some(baggage) = &self.trace.baggage {
            headers.insert(headers::BAGGAGE.to_owned(), baggage.clone());
        }
        message
    }
}

fn rfc3339(time_ms: i64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time_ms) * 1_000_000).ok()?;
    time.format(&Rfc3339).ok()
}
