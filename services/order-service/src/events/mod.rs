//! What this service reacts to: one line an event; the handler's file has the event's name.

use contracts::user::v1::{KeyPublished, UserCreated};
use messaging::Subscriptions;

pub mod key_published;
pub mod user_created;

/// The queue that the events come through.
pub const QUEUE: &str = "orders_queue";

pub fn subscriptions() -> Subscriptions {
    Subscriptions::new(QUEUE)
        .in_order::<UserCreated>(user_created::handle)
        .on::<KeyPublished>(key_published::handle)
}
