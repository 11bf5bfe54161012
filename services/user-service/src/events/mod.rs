//! The subscriptions, one line per event. A handler's file has the name of its event.

use contracts::key::v1::KeyRequested;
use messaging::Subscriptions;

pub mod key_requested;

pub const QUEUE: &str = "users_queue";

pub fn subscriptions() -> Subscriptions {
    Subscriptions::new(QUEUE).on::<KeyRequested>(key_requested::handle)
}
