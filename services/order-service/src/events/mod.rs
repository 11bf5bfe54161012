//! What this service reacts to: one line an event; the handler's file has the event's name.

use contracts::order::v1::ExpiryElapsed;
use contracts::user::v1::{KeyPublished, UserCreated, UserDeleted, UserUpdated};
use messaging::{Delivered, HandlerError, Subscriptions};
use service::keys;
use uuid::Uuid;

use crate::store::users::Heard;

pub mod expiry_elapsed;
pub mod user_created;
pub mod user_deleted;
pub mod user_updated;

/// The queue that the events come through.
pub const QUEUE: &str = "orders_queue";

pub fn subscriptions() -> Subscriptions {
    Subscriptions::new(QUEUE)
        .in_order::<UserCreated>(user_created::handle)
        .in_order::<UserUpdated>(user_updated::handle)
        .in_order::<UserDeleted>(user_deleted::handle)
        .on::<KeyPublished>(keys::published)
        .on::<ExpiryElapsed>(expiry_elapsed::handle)
}

/// What any event about a user tells of them.
fn heard(user_id: &str, delivered: &Delivered) -> Result<Heard, HandlerError> {
    let user_id = Uuid::parse_str(user_id)
        .map_err(|error| HandlerError::reject(format!("user_id is not a UUID: {error}")))?;
    Ok(Heard {
        user_id,
        version: delivered.envelope.aggregate_version.unwrap_or_default(),
        event_at_ms: delivered.envelope.time_ms,
    })
}
