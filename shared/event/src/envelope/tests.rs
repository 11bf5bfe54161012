//! What is written is read, and what is read is not trusted.

use proptest::prelude::*;

use super::*;
use crate::Message;

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
            m.headers
                .insert("cloudEvents_subject".into(), "a\0b".into());
        }),
        MalformedEnvelope::Nul
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
