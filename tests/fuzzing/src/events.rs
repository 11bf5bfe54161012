//! A message from the broker: its properties, headers and body.

use bytes::Bytes;
use contracts::READABLE_EVENTS;
use event::{Envelope, Message, partition_key};

/// Reads a message that claims to be an event.
pub fn event(bytes: &[u8]) {
    let Some((kind, rest)) = crate::chosen(READABLE_EVENTS, bytes) else {
        return;
    };
    let end_of_head = rest.iter().position(|byte| *byte == 0);
    let (head, body) = rest.split_at(end_of_head.unwrap_or(rest.len()));
    let message = message(kind.type_name, head, body);
    let _ = partition_key(&message);
    if let Ok(envelope) = Envelope::from_message(&message) {
        // What is stored and published again has the same meaning.
        let again = envelope.to_message("", "", message.body.clone());
        let read = Envelope::from_message(&again);
        let sequence = |envelope: &Envelope| envelope.aggregate_version;
        assert_eq!(
            read.as_ref().map(|read| (read.id, sequence(read))),
            Ok((envelope.id, sequence(&envelope))),
        );
        assert_eq!(
            read.map(|read| read.aggregate_id),
            Ok(envelope.aggregate_id)
        );
    }
    if let Ok(reading) = (kind.read)(body) {
        let again = (kind.read)(&reading.written);
        assert_eq!(again.map(|again| again.written), Ok(reading.written));
    }
}

fn message(event_type: &str, head: &[u8], body: &[u8]) -> Message {
    let [
        id,
        sequence,
        subject,
        time,
        content_type,
        correlation,
        traceparent,
    ] = crate::lines(head);
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let headers = [
        ("cloudEvents_id", id.clone()),
        ("cloudEvents_sequence", sequence),
        ("cloudEvents_subject", subject),
        ("cloudEvents_time", time),
        ("traceparent", traceparent),
    ];
    Message {
        message_id: given(id),
        event_type: Some(event_type.to_owned()),
        content_type: given(content_type),
        correlation_id: given(correlation),
        headers: headers
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        body: Bytes::copy_from_slice(body),
        ..Message::default()
    }
}
