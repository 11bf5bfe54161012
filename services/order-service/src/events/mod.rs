//! The subscriptions, one line per event. A handler's file has the name of its event, an observer's file that of the
//! aggregate.

use contracts::order::v1::ExpiryElapsed;
use contracts::user::v1::{KeyPublished, UserCreated, UserDeleted};
use messaging::Subscriptions;
use service::keys;

pub mod expiry_elapsed;
pub mod user;
pub mod user_deleted;

pub const QUEUE: &str = "orders_queue";

pub fn subscriptions() -> Subscriptions {
    Subscriptions::new(QUEUE)
        .observe::<UserCreated>(user::advanced)
        .in_order::<UserDeleted>(user_deleted::handle)
        .on::<KeyPublished>(keys::published)
        .on::<ExpiryElapsed>(expiry_elapsed::handle)
}
