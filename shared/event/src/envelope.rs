//! The facts about an event that travel beside its body, and their form on the wire.
//!
//! Writing and reading are in one file, so that they cannot drift apart. Reading is lenient where a missing value is
//! harmless (a trace, a correlation id) and strict where a guess would be wrong (identity, type, order).

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::headers::{self, get, set};
use crate::identity::given_id;
use crate::{Message, TraceContext};

const CONTENT_TYPE: &str = "application/protobuf";

/// The longest id, type or correlation id: the limit of short strings in AMQP 0-9-1.
pub(crate) const MAX_ATTRIBUTE_BYTES: usize = 255;

/// The length at which an unreadable text is cut in a cause; the message's header has all of it.
const FOUND_CHARACTERS: usize = 200;

/// The facts about an event apart from its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// UUIDv7, generated when the event is enqueued. The idempotency key of every consumer.
    pub id: Uuid,
    /// The protobuf full name of the body.
    pub event_type: String,
    /// The service that published it.
    pub source: String,
    /// When it was enqueued, in Unix milliseconds.
    pub time_ms: i64,
    /// The aggregate that it belongs to.
    pub aggregate_id: String,
    /// The aggregate's version after the change: 1, 2, 3 … without gaps. `None` only for foreign publishers.
    pub aggregate_version: Option<i64>,
    /// The id that joins everything that one call caused.
    pub correlation_id: String,
    /// The span that created the event.
    pub trace: TraceContext,
}

/// Why a message is not one of our events. A retry does not help: such a message never becomes one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedEnvelope {
    /// A transport could not read the message. The text shows the original.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Neither `message_id` nor `cloudEvents_id`.
    #[error("it has no message id")]
    NoId,
    /// The id is not a UUID.
    #[error("its message id `{0}` is not a UUID")]
    Id(String),
    /// Neither `type` nor `cloudEvents_type`.
    #[error("it has no event type")]
    NoType,
    /// A body with another content type.
    #[error("its content type is `{0}`, not {CONTENT_TYPE}")]
    ContentType(String),
    /// No subject, so the aggregate is unknown.
    #[error("it names no aggregate (cloudEvents_subject)")]
    NoAggregate,
    /// The sequence is not a version.
    #[error("its sequence `{0}` is not a version from 1 on")]
    Sequence(String),
    /// An attribute is longer than AMQP's short strings.
    #[error("its {0} has more than {MAX_ATTRIBUTE_BYTES} bytes")]
    AttributeTooLong(&'static str),
    /// A body larger than [`MAX_BODY_BYTES`](crate::MAX_BODY_BYTES).
    #[error("its body has {0} bytes, more than {max}", max = crate::MAX_BODY_BYTES)]
    TooLarge(usize),
}

impl MalformedEnvelope {
    pub(crate) fn unreadable(found: &str) -> Self {
        Self::Unreadable(found.chars().take(FOUND_CHARACTERS).collect())
    }

    pub(crate) fn bad_id(id: &str) -> Self {
        Self::Id(excerpt(id))
    }
}

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
            // Padded, because the extension's values are compared as text.
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

    /// Reads the envelope of a received message.
    pub fn from_message(message: &Message) -> Result<Self, MalformedEnvelope> {
        let attribute = |name| get(&message.headers, name);
        let id = given_id(message)?;
        let event_type = message
            .event_type
            .as_deref()
            .or(attribute(headers::TYPE))
            .ok_or(MalformedEnvelope::NoType)?;
        if let Some(content_type) = message.content_type.as_deref()
            && !is_protobuf(content_type)
        {
            return Err(MalformedEnvelope::ContentType(excerpt(content_type)));
        }
        if message.body.len() > crate::MAX_BODY_BYTES {
            return Err(MalformedEnvelope::TooLarge(message.body.len()));
        }
        let aggregate_id = attribute(headers::SUBJECT)
            .or(attribute(headers::PARTITION_KEY))
            .filter(|id| !id.is_empty())
            .ok_or(MalformedEnvelope::NoAggregate)?;
        for (name, value) in [("event type", event_type), ("aggregate id", aggregate_id)] {
            if value.len() > MAX_ATTRIBUTE_BYTES {
                return Err(MalformedEnvelope::AttributeTooLong(name));
            }
        }

        Ok(Self {
            id,
            event_type: event_type.to_owned(),
            source: source(message),
            time_ms: time_ms(message),
            aggregate_id: aggregate_id.to_owned(),
            aggregate_version: attribute(headers::SEQUENCE).map(version).transpose()?,
            correlation_id: message.correlation_id(&id.to_string()),
            trace: message.trace(),
        })
    }
}

/// The key that keeps messages of one aggregate together. Also for a message that is not a valid event.
pub fn partition_key(message: &Message) -> &str {
    let attribute = |name| get(&message.headers, name);
    attribute(headers::SUBJECT)
        .or(attribute(headers::PARTITION_KEY))
        .unwrap_or(&message.routing_key)
}

/// The version that a message claims, if any.
pub fn sequence(message: &Message) -> Option<i64> {
    get(&message.headers, headers::SEQUENCE)?.parse().ok()
}

fn is_protobuf(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case(CONTENT_TYPE)
        || media_type.eq_ignore_ascii_case("application/x-protobuf")
}

fn source(message: &Message) -> String {
    let source = message
        .app_id
        .as_deref()
        .or(get(&message.headers, headers::SOURCE))
        .unwrap_or("unknown");
    source
        .strip_prefix("/angarium/")
        .unwrap_or(source)
        .to_owned()
}

fn time_ms(message: &Message) -> i64 {
    let exact = get(&message.headers, headers::TIME)
        .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
        .and_then(|time| i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok());
    let seconds = || {
        message
            .timestamp_s
            .and_then(|s| i64::try_from(s).ok())
            .and_then(|s| s.checked_mul(1000))
    };
    exact.or_else(seconds).unwrap_or_default()
}

fn version(sequence: &str) -> Result<i64, MalformedEnvelope> {
    sequence
        .parse()
        .ok()
        // i64::MAX has no successor.
        .filter(|version| (1..i64::MAX).contains(version))
        .ok_or_else(|| MalformedEnvelope::Sequence(excerpt(sequence)))
}

fn rfc3339(time_ms: i64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time_ms) * 1_000_000).ok()?;
    time.format(&Rfc3339).ok()
}

/// A sender's text ends up in tables and logs: keep enough to recognise it, never all of it.
fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            id: Uuid::from_u128(0x0192_f3c4_0000_7000_8000_0000_0000_0001),
            event_type: "angarium.order.v1.OrderPlaced".to_owned(),
            source: "order-service".to_owned(),
            time_ms: 1_700_000_000_123,
            aggregate_id: "order-1".to_owned(),
            aggregate_version: Some(1),
            correlation_id: "call-1".to_owned(),
            trace: TraceContext::default(),
        }
    }

    fn message() -> Message {
        envelope().to_message(
            "order_events",
            "order.placed",
            bytes::Bytes::from_static(b"body"),
        )
    }

    #[test]
    fn the_properties_are_those_that_other_languages_look_for() {
        let message = message();
        assert_eq!(
            message.event_type.as_deref(),
            Some("angarium.order.v1.OrderPlaced")
        );
        assert_eq!(
            message.content_type.as_deref(),
            Some("application/protobuf")
        );
        assert_eq!(message.timestamp_s, Some(1_700_000_000));
        assert_eq!(
            message.headers["cloudEvents_time"],
            "2023-11-14T22:13:20.123Z"
        );
        assert_eq!(
            message.headers["cloudEvents_sequence"],
            "0000000000000000001"
        );
        assert_eq!(
            message.headers["cloudEvents_source"],
            "/angarium/order-service"
        );
    }

    #[test]
    fn the_other_prefix_of_the_binding_is_understood() {
        let mut message = message();
        message.headers = message
            .headers
            .into_iter()
            .map(|(key, value)| (key.replace('_', ":"), value))
            .collect();
        assert_eq!(Envelope::from_message(&message), Ok(envelope()));
    }

    #[test]
    fn what_identifies_or_orders_an_event_must_be_right() {
        let broken = |change: fn(&mut Message)| {
            let mut message = message();
            change(&mut message);
            Envelope::from_message(&message).unwrap_err()
        };
        assert_eq!(
            broken(|m| m.message_id = Some("7".into())),
            MalformedEnvelope::Id("7".into())
        );
        assert_eq!(
            broken(|m| {
                m.message_id = None;
                m.headers.clear();
            }),
            MalformedEnvelope::NoId
        );
        assert_eq!(
            broken(|m| {
                m.event_type = None;
                m.headers.remove("cloudEvents_type");
            }),
            MalformedEnvelope::NoType
        );
        assert_eq!(
            broken(|m| m.content_type = Some("application/json".into())),
            MalformedEnvelope::ContentType("application/json".into())
        );
        assert_eq!(
            broken(|m| {
                m.headers.remove("cloudEvents_subject");
                m.headers.remove("cloudEvents_partitionkey");
            }),
            MalformedEnvelope::NoAggregate
        );
        assert_eq!(
            broken(|m| {
                m.headers.insert("cloudEvents_sequence".into(), "0".into());
            }),
            MalformedEnvelope::Sequence("0".into())
        );
        assert_eq!(
            broken(|m| {
                m.headers
                    .insert("cloudEvents_subject".into(), "a".repeat(256));
            }),
            MalformedEnvelope::AttributeTooLong("aggregate id")
        );
        assert_eq!(
            broken(|m| m.body = vec![0; crate::MAX_BODY_BYTES + 1].into()),
            MalformedEnvelope::TooLarge(crate::MAX_BODY_BYTES + 1)
        );
    }

    #[test]
    fn optional_attributes_may_be_absent() {
        let mut message = message();
        message.correlation_id = None;
        message.content_type = None;
        message.headers.remove("cloudEvents_time");
        message.headers.remove("cloudEvents_sequence");
        let read = Envelope::from_message(&message).unwrap();
        assert_eq!(read.correlation_id, envelope().id.to_string());
        assert_eq!(read.time_ms, 1_700_000_000_000);
        assert_eq!(read.aggregate_version, None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            id in any::<u128>(),
            time_ms in 0_i64..253_402_300_799_999,
            version in proptest::option::of(1_i64..),
            text in "[a-zA-Z0-9._-]{1,40}",
        ) {
            let envelope = Envelope {
                id: Uuid::from_u128(id),
                time_ms,
                aggregate_version: version,
                aggregate_id: text.clone(),
                correlation_id: text,
                ..envelope()
            };
            let message = envelope.to_message("e", "k", bytes::Bytes::new());
            prop_assert_eq!(Envelope::from_message(&message), Ok(envelope));
        }

        #[test]
        fn no_header_makes_reading_panic(key in "(cloudEvents[_:](id|time|sequence|subject|source))|traceparent|tracestate", value in ".*") {
            let mut message = message();
            message.message_id = None;
            message.headers.insert(key, value);
            let _ = Envelope::from_message(&message);
        }
    }
}
