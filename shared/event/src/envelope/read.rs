//! The envelope of a received message.
//!
//! Reading is lenient where a missing value is harmless (a trace, a correlation id) and strict where a guess would be
//! wrong (identity, type, order).

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{CONTENT_TYPE, Envelope, MAX_ATTRIBUTE_BYTES, MalformedEnvelope, excerpt};
use crate::Message;
use crate::headers::{self, get};
use crate::identity::given_id;

impl Envelope {
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
        if aggregate_id.contains('\0') {
            return Err(MalformedEnvelope::Nul);
        }
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
