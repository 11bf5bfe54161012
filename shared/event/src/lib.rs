//! What an *event* is in this system: a protobuf message with a destination, the facts that travel beside its body, and
//! the wire form of both.
//!
//! Pure; depends on no other crate of the workspace. `contracts` implements [`Event`] from the options in the `.proto`
//! files; `messaging` stores and moves [`Envelope`]s and [`Message`]s.

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
/// The build of `contracts` implements it from the message's option. The type on the wire is the message's full name
/// (`prost::Name`).
///
/// An implementation by hand must follow the rule of [`check`]:
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

    /// What the event is about, such as `order`. Events with the same exchange, aggregate and aggregate id share one
    /// sequence of versions. A consumer that keeps the order takes all of them.
    const AGGREGATE: &'static str;

    /// `<aggregate>.<past participle>`, such as `order.placed`.
    const ROUTING_KEY: &'static str;

    /// Whether publishing succeeds without a bound queue. If `false`, an event that reaches no queue stays in the
    /// outbox.
    const MAY_BE_UNROUTED: bool;

    /// The types of all events of the same exchange and aggregate that this build knows. A consumer in order may pass
    /// over these without a handler.
    const SIBLINGS: &'static [&'static str];

    /// The id of the aggregate.
    fn aggregate_id(&self) -> &str;

    /// The person that its personal data belongs to, if it contains any.
    fn person_id(&self) -> Option<&str> {
        None
    }
}

/// The aggregate of an event with this routing key: `order` for `order.placed`. [`check`] guarantees it, so it also
/// works for a type that this build does not know.
pub fn aggregate_type(routing_key: &str) -> &str {
    routing_key.split('.').next().unwrap_or(routing_key)
}

/// Refuses an event if its routing key does not begin with its aggregate and a dot.
///
/// A consumer in order binds `user.#`. A user event with another key would not reach its queue, and all later events of
/// that user would wait for it.
///
/// # Panics
/// If the event breaks the rule. In a `const` block, this fails the build with the message.
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
