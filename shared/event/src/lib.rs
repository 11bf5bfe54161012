//! What the rest of the system means by *event*: a protobuf message that says where it goes, the facts about it that travel
//! beside its body, and the form of both on the wire.
//!
//! The leaf of the workspace: pure, without I/O. `contracts` implements [`Event`] from the options in the `.proto` files;
//! `messaging` stores, moves and hands over [`Envelope`]s and [`Message`]s without knowing a single event by name.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod envelope;
mod headers;
mod identity;
mod message;
mod trace;

pub use envelope::{Envelope, MalformedEnvelope, partition_key, sequence};
pub use headers::UNREADABLE;
pub use identity::event_id;
pub use message::{MAX_BODY_BYTES, Message};
pub use trace::TraceContext;

/// A protobuf message that is published as an event.
///
/// Implemented by the build of `contracts` from the message's own option, so that the contract is the only place that says
/// where an event goes. Its type on the wire is the message's full name (`prost::Name`).
pub trait Event: prost::Message + prost::Name + Default + 'static {
    /// The durable topic exchange that it is published to, such as `order_events`.
    const EXCHANGE: &'static str;

    /// `<noun>.<past participle>`, such as `order.placed`.
    const ROUTING_KEY: &'static str;

    /// Whether publishing succeeds although no queue is bound for it. Where `false`, an event that reaches no queue stays in
    /// the outbox.
    const MAY_BE_UNROUTED: bool;

    /// The types of all events of the same aggregate that this build knows, this one included: what a consumer that takes
    /// them in order may pass over without a handler.
    const SIBLINGS: &'static [&'static str];

    /// The id of the aggregate that it belongs to: events of one aggregate are delivered in the order of its versions.
    fn aggregate_id(&self) -> &str;

    /// The id of the person that its personal data belongs to, if it holds any.
    fn person_id(&self) -> Option<&str> {
        None
    }
}

/// The aggregate that a routing key speaks of: `order` of `order.placed`.
pub fn aggregate_type(routing_key: &str) -> &str {
    routing_key.split('.').next().unwrap_or(routing_key)
}
