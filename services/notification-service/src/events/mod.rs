//! What this service reacts to: one line an event; the handler's file has the event's name.
//!
//! Mails are taken each on its own: a mail that has to wait for its recipient holds up no other one.

use contracts::order::v1::{OrderCancelled, OrderPlaced};
use contracts::user::v1::{KeyPublished, UserCreated};
use messaging::Subscriptions;

pub mod key_published;
pub mod order_cancelled;
pub mod order_placed;
pub mod user_created;

/// The queue that the events come through.
pub const QUEUE: &str = "notifications_queue";

pub fn subscriptions() -> Subscriptions {
    Subscriptions::new(QUEUE)
        .on::<UserCreated>(user_created::handle)
        .on::<KeyPublished>(key_published::handle)
        .on::<OrderPlaced>(order_placed::handle)
        .on::<OrderCancelled>(order_cancelled::handle)
}
