//! What this service reacts to: one line an event; the handler's file has the event's name.

use contracts::key::v1::KeyRequested;
use messaging::Subscriptions;

pub mod key_requested;

/// The queue that the events come through.
pub const QUEUE: &str = "users_queue";

pub fn subscriptions() -> Subscriptions {
    Subscriptions::new(QUEUE).on::<KeyRequested>(key_requested::handle)
}
