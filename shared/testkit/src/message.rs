//! Messages as an outbox makes them, for tests that deliver an event by hand.

use event::{Envelope, Event, Message, TraceContext};
use uuid::Uuid;

/// The time of these events, in Unix milliseconds.
pub const EVENT_TIME_MS: i64 = 1_700_000_000_123;

/// The correlation id of these events.
pub const CORRELATION_ID: &str = "call-1";

/// The message of a new `event` with this version of its aggregate.
pub fn message<E: Event>(event: &E, version: i64) -> Message {
    message_in(&envelope::<E>(event.aggregate_id(), version), event)
}

/// The message of `event` with its own envelope, such as `Envelope { id, ..testkit::envelope::<E>(…) }`.
pub fn message_in<E: Event>(envelope: &Envelope, event: &E) -> Message {
    envelope.to_message(E::EXCHANGE, E::ROUTING_KEY, event.encode_to_vec().into())
}

/// The envelope of a new event of this type.
pub fn envelope<E: Event>(aggregate_id: &str, version: i64) -> Envelope {
    Envelope {
        id: Uuid::now_v7(),
        event_type: E::full_name(),
        source: "test".to_owned(),
        time_ms: EVENT_TIME_MS,
        aggregate_id: aggregate_id.to_owned(),
        aggregate_version: Some(version),
        correlation_id: CORRELATION_ID.to_owned(),
        trace: TraceContext::default(),
    }
}
