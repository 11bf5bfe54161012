//! The facts about an event that travel beside its body, and their form on the wire.
//!
//! A property test compares writing ([`written`]) and reading ([`read`]).

use uuid::Uuid;

use crate::TraceContext;

mod read;
#[cfg(test)]
mod tests;
mod written;

pub use read::{partition_key, sequence};

const CONTENT_TYPE: &str = "application/protobuf";

/// The longest id, type or correlation id: the limit of short strings in AMQP 0-9-1.
pub(crate) const MAX_ATTRIBUTE_BYTES: usize = 255;

/// The length of an unreadable text in a cause; the message's header has all of it.
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

/// Why a message is not one of our events. A retry never helps.
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
    /// A NUL in the aggregate id: PostgreSQL's text cannot contain it.
    #[error("its aggregate id contains NUL")]
    Nul,
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

/// A sender's text gets into tables and logs: enough to recognise it, never all of it.
fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}
