//! The id of a message in the inbox, its held and dead rows, logs and traces.
//!
//! Guarantee: a message has the same id at each delivery and on each path, even if its sender gave it none. Two ids for
//! one message would cause two inbox rows, and so two effects.

use uuid::Uuid;

use crate::headers::{self, get};
use crate::{MalformedEnvelope, Message};

/// The event's id. A message without a valid one gets an id derived from its content.
pub fn event_id(message: &Message) -> Uuid {
    given_id(message).unwrap_or_else(|_| derived_id(message))
}

/// The id from the sender: `message_id` if the message has one, otherwise `cloudEvents_id`.
///
/// `message_id` wins even if it is not a UUID, because brokers and tools show it. An unreadable message does not get
/// its sender's id: a readable message with that id may still arrive and must have its effect.
pub(crate) fn given_id(message: &Message) -> Result<Uuid, MalformedEnvelope> {
    if let Some(found) = message.headers.get(headers::UNREADABLE) {
        return Err(MalformedEnvelope::unreadable(found));
    }
    let given = given(message).ok_or(MalformedEnvelope::NoId)?;
    Uuid::parse_str(given).map_err(|_| MalformedEnvelope::bad_id(given))
}

fn given(message: &Message) -> Option<&str> {
    let message_id = message.message_id.as_deref();
    message_id.or_else(|| get(&message.headers, headers::ID))
}

/// Not all headers count, because a broker adds its own.
fn derived_id(message: &Message) -> Uuid {
    let unreadable = message.headers.get(headers::UNREADABLE);
    let text = [
        message.exchange.as_str(),
        &message.routing_key,
        given(message).unwrap_or_default(),
        unreadable.map_or("", String::as_str),
    ]
    .join("\n");
    let bytes = [text.as_bytes(), &message.body].concat();
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0192f3c4-0000-7000-8000-000000000001";
    const OTHER: &str = "0192f3c4-0000-7000-8000-000000000002";

    fn message(message_id: Option<&str>, cloud_id: Option<&str>) -> Message {
        let mut message = Message {
            exchange: "order_events".to_owned(),
            routing_key: "order.placed".to_owned(),
            message_id: message_id.map(str::to_owned),
            body: bytes::Bytes::from_static(b"body"),
            ..Message::default()
        };
        if let Some(id) = cloud_id {
            headers::set(&mut message.headers, headers::ID, id);
        }
        message
    }

    fn id_of(message_id: Option<&str>, cloud_id: Option<&str>) -> String {
        event_id(&message(message_id, cloud_id)).to_string()
    }

    #[test]
    fn message_id_comes_before_the_cloud_events_id() {
        assert_eq!(id_of(Some(ONE), None), ONE);
        assert_eq!(id_of(None, Some(OTHER)), OTHER);
        assert_eq!(id_of(Some(ONE), Some(OTHER)), ONE);
    }

    #[test]
    fn one_id_has_one_form() {
        assert_eq!(id_of(Some(&ONE.to_uppercase()), None), ONE);
        assert_eq!(id_of(None, Some(&format!("{{{ONE}}}"))), ONE);
    }

    #[test]
    fn an_id_that_is_no_uuid_is_not_passed_over() {
        let wrong = message(Some("7"), Some(OTHER));
        assert_eq!(given_id(&wrong), Err(MalformedEnvelope::Id("7".to_owned())));
        assert_ne!(event_id(&wrong).to_string(), OTHER);
    }

    #[test]
    fn what_cannot_be_read_takes_no_id_of_a_message_that_can() {
        let mut unreadable = message(Some(ONE), Some(ONE));
        let found = headers::UNREADABLE.to_owned();
        unreadable.headers.insert(found, "\\xff".to_owned());
        assert_ne!(event_id(&unreadable).to_string(), ONE);
    }

    #[test]
    fn a_derived_id_is_stable_and_differs_by_message() {
        let derived = [
            message(None, None),
            message(Some("7"), None),
            message(None, Some("8")),
            Message {
                headers: [(headers::UNREADABLE.to_owned(), "\\xff".to_owned())].into(),
                ..message(None, None)
            },
            Message {
                body: bytes::Bytes::from_static(b"another"),
                ..message(None, None)
            },
        ];
        for (index, message) in derived.iter().enumerate() {
            let mut again = message.clone();
            // As the broker does when it dead-letters a message.
            let reason = "x-first-death-reason".to_owned();
            again.headers.insert(reason, "delivery_limit".to_owned());
            assert_eq!(event_id(message), event_id(&again));
            let others = derived.iter().skip(index + 1);
            assert!(others.map(event_id).all(|id| id != event_id(message)));
        }
    }
}
