//! What the rest of the system means by *event*: a protobuf message that says where it goes, the facts about it that travel
//! beside its body, and the form of both on the wire.
//!
//! The leaf of the workspace: pure, without I/O. `contracts` implements [`Event`] from the options in the `.proto` files;
//! `messaging` stores, moves and hands over [`Envelope`]s and [`Message`]s without knowing a single event by name.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod checkpoint;
mod envelope;
mod headers;
mod identity;
mod message;
mod trace;

pub use checkpoint::{CHECKPOINT_KEY, CHECKPOINT_TYPE, Checkpoint, Published};
pub use envelope::{Envelope, MalformedEnvelope, partition_key, sequence};
pub use headers::UNREADABLE;
pub use identity::event_id;
pub use message::{MAX_BODY_BYTES, Message};
pub use trace::TraceContext;

/// A protobuf message that is published as an event.
///
/// Implemented by the build of `contracts` from the message's own option, so that the contract is the only place that says
/// where an event goes. Its type on the wire is the message's full name (`prost::Name`).
///
/// An implementation by hand keeps the rule of [`check`], or nothing that publishes or consumes it compiles:
///
/// ```
/// use event::Event;
///
/// #[derive(Clone, PartialEq, prost::Message)]
/// struct PasswordChanged {
///     #[prost(string, tag = "1")]
///     user_id: String,
/// }
///
/// impl prost::Name for PasswordChanged {
///     const NAME: &'static str = "PasswordChanged";
///     const PACKAGE: &'static str = "acme.user.v1";
/// }
///
/// impl Event for PasswordChanged {
///     const EXCHANGE: &'static str = "user_events";
///     const AGGREGATE: &'static str = "user";
///     const ROUTING_KEY: &'static str = "user.password_changed";
///     const MAY_BE_UNROUTED: bool = false;
///     const SIBLINGS: &'static [&'static str] = &["acme.user.v1.PasswordChanged"];
///
///     fn aggregate_id(&self) -> &str {
///         &self.user_id
///     }
/// }
///
/// const { event::check::<PasswordChanged>() }
/// ```
pub trait Event: prost::Message + prost::Name + Default + 'static {
    /// The durable topic exchange that it is published to, such as `order_events`.
    const EXCHANGE: &'static str;

    /// What the event is about, such as `order`. Events of one exchange with the same aggregate and the same aggregate id share
    /// one numbering of versions, and a consumer that keeps the order takes all of them.
    const AGGREGATE: &'static str;

    /// `<aggregate>.<past participle>`, such as `order.placed`.
    const ROUTING_KEY: &'static str;

    /// Whether publishing succeeds although no queue is bound for it. Where `false`, an event that reaches no queue stays in
    /// the outbox.
    const MAY_BE_UNROUTED: bool;

    /// The types of all events of the same exchange and aggregate that this build knows, this one included: what a consumer
    /// that takes them in order may pass over without a handler.
    const SIBLINGS: &'static [&'static str];

    /// The id of the aggregate that it belongs to: events of one aggregate are delivered in the order of its versions.
    fn aggregate_id(&self) -> &str;

    /// The id of the person that its personal data belongs to, if it holds any.
    fn person_id(&self) -> Option<&str> {
        None
    }
}

/// The aggregate of an event with this routing key: `order` of `order.placed`. [`check`] holds that it is the event's
/// [`AGGREGATE`](Event::AGGREGATE), so this is right also for a type that this build does not know.
pub fn aggregate_type(routing_key: &str) -> &str {
    routing_key.split('.').next().unwrap_or(routing_key)
}

/// Refuses an event whose routing key does not begin with its aggregate and a dot.
///
/// A consumer in order binds `user.#`. An event of the user with another key would not reach its queue, so its version would be
/// missing there, and all later events of that user would wait for it.
///
/// # Panics
/// Where the event breaks the rule: call it in a `const` block, and the build ends with the message.
///
/// ```compile_fail,E0080
/// # use event::Event;
/// # #[derive(Clone, PartialEq, prost::Message)]
/// # struct PasswordChanged {
/// #     #[prost(string, tag = "1")]
/// #     user_id: String,
/// # }
/// # impl prost::Name for PasswordChanged {
/// #     const NAME: &'static str = "PasswordChanged";
/// #     const PACKAGE: &'static str = "acme.user.v1";
/// # }
/// impl Event for PasswordChanged {
///     const AGGREGATE: &'static str = "user";
///     const ROUTING_KEY: &'static str = "password.changed";
/// #   const EXCHANGE: &'static str = "user_events";
/// #   const MAY_BE_UNROUTED: bool = false;
/// #   const SIBLINGS: &'static [&'static str] = &["acme.user.v1.PasswordChanged"];
/// #   fn aggregate_id(&self) -> &str {
/// #       &self.user_id
/// #   }
///     // …
/// }
///
/// const { event::check::<PasswordChanged>() }
/// ```
pub const fn check<E: Event>() {
    assert!(
        begins_with_word(E::ROUTING_KEY.as_bytes(), E::AGGREGATE.as_bytes()),
        "the routing key of an event does not begin with its aggregate and a dot: \
         write `user.password_changed`, not `password.changed`, for an event of the aggregate `user`"
    );
}

const fn begins_with_word(key: &[u8], word: &[u8]) -> bool {
    if word.is_empty() || key.len() <= word.len() {
        return false;
    }
    let mut at = 0;
    while at < word.len() {
        if key[at] != word[at] || word[at] == b'.' {
            return false;
        }
        at += 1;
    }
    key[at] == b'.'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_routing_key_begins_with_its_aggregate_as_a_whole_word() {
        let begins = |key: &str, word: &str| begins_with_word(key.as_bytes(), word.as_bytes());
        assert!(begins("user.created", "user") && begins("user.password_changed", "user"));
        for (key, word) in [
            ("password.changed", "user"),
            ("users.created", "user"),
            ("user", "user"),
            ("user.", "user.created"),
            (".created", ""),
            ("user.profile.changed", "user.profile"),
        ] {
            assert!(!begins(key, word), "{key} {word}");
        }
    }
}
