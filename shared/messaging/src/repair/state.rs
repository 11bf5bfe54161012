//! The current state of an aggregate as an event: for a consumer that no stored event helps any more.
//!
//! Guarantee: the same state has the same id, so a consumer takes it once. It needs no earlier event.

use event::{Envelope, Event, Message, TraceContext};
use sea_orm::DbErr;
use uuid::Uuid;

use super::history::Stored;

impl Stored {
    /// The state of an aggregate of `source` at `version`, last changed at `changed_ms` (Unix milliseconds).
    pub fn of_state<E: Event>(source: &str, state: &E, version: i64, changed_ms: i64) -> Self {
        let aggregate_id = state.aggregate_id();
        let name = format!("{source}/{}/{aggregate_id}/{version}", E::AGGREGATE);
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        let envelope = Envelope {
            id,
            event_type: E::full_name(),
            source: source.to_owned(),
            time_ms: changed_ms,
            aggregate_id: aggregate_id.to_owned(),
            aggregate_version: Some(version),
            correlation_id: id.to_string(),
            trace: TraceContext::default(),
        };
        let body = state.encode_to_vec().into();
        let mut message = envelope.to_message(E::EXCHANGE, E::ROUTING_KEY, body);
        message.set_state();
        Self {
            position: 0,
            erased: false,
            message,
        }
    }

    /// The state may have been handled under the other id.
    pub(super) fn again(&self) -> Result<Self, DbErr> {
        let envelope = Envelope::from_message(&self.message);
        let envelope = Envelope {
            id: Uuid::now_v7(),
            ..envelope.map_err(|error| DbErr::Type(error.to_string()))?
        };
        let Message {
            exchange,
            routing_key,
            body,
            ..
        } = &self.message;
        let mut message = envelope.to_message(exchange, routing_key, body.clone());
        message.set_state();
        Ok(Self { message, ..*self })
    }
}
