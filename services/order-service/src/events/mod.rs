//! What this service reacts to: one line an event; the handler's file has the event's name, an observer's that of the aggregate.

use contracts::order::v1::ExpiryElapsed;
use contracts::user::v1::{KeyPublished, UserCreated, UserDeleted};
use messaging::{HandlerError, Subscriptions};
use service::keys;
use uuid::Uuid;

pub mod expiry_elapsed;
pub mod user;
pub mod user_deleted;

/// The queue that the events come through.
pub const QUEUE: &str = "orders_queue";

pub fn subscriptions() -> Subscriptions {
    Subscriptions::new(QUEUE)
        .observe::<UserCreated>(user::advanced)
        .in_order::<UserDeleted>(user_deleted::handle)
        .on::<KeyPublished>(keys::published)
        .on::<ExpiryElapsed>(expiry_elapsed::handle)
}

fn user_id(text: &str) -> Result<Uuid, HandlerError> {
    Uuid::parse_str(text)
        .map_err(|error| HandlerError::reject(format!("user_id is not a UUID: {error}")))
}
