//! The subscriptions, one line per event. A handler's file has the name of its event; [`notify::mails`] handles the
//! events that only cause a mail. No order: a mail that waits for its recipient blocks no other one.

use std::time::Duration;

use contracts::order::v1::{OrderCancelled, OrderConfirmed, OrderPlaced, OrderShipped};
use contracts::user::v1::{
    EmailVerificationRequested, KeyPublished, PasswordResetRequested, SessionStartedAtNewPlace,
    UserCreated, UserDeleted, UserPasswordChanged, UserRoleChanged, UserUpdated,
};
use messaging::Subscriptions;
use service::keys;

use crate::notify;

pub mod reset_requested;
pub mod user_created;
pub mod user_deleted;
pub mod user_updated;
pub mod verification_requested;

pub const QUEUE: &str = "notifications_queue";

/// Of a password code: a later mail is useless.
const RESET_CODE: Duration = Duration::from_secs(3600);
const ATTEMPTS_AT_A_CODE: u32 = 12;

pub fn subscriptions() -> Subscriptions {
    Subscriptions::new(QUEUE)
        .on::<UserCreated>(user_created::handle)
        .on::<UserUpdated>(user_updated::handle)
        .on::<UserDeleted>(user_deleted::handle)
        .on_batch::<UserPasswordChanged>(notify::mails)
        .on_batch::<UserRoleChanged>(notify::mails)
        .on_batch::<SessionStartedAtNewPlace>(notify::mails)
        .on::<EmailVerificationRequested>(verification_requested::handle)
        .on::<PasswordResetRequested>(reset_requested::handle)
        .giving_up_after(ATTEMPTS_AT_A_CODE, RESET_CODE)
        .on::<KeyPublished>(keys::published)
        .on_batch::<OrderPlaced>(notify::mails)
        .on_batch::<OrderConfirmed>(notify::mails)
        .on_batch::<OrderShipped>(notify::mails)
        .on_batch::<OrderCancelled>(notify::mails)
}
