//! What this service reacts to: one line an event; the handler's file has the event's name.

use contracts::user::v1::UserCreated;
use messaging::Subscriptions;

pub mod user_created;

/// The queue that the events come through.
pub const QUEUE: &str = "orders_queue";

pub fn subscriptions() -> Subscriptions {
    Subscriptions::new(QUEUE).in_order::<UserCreated>(user_created::handle)
}
