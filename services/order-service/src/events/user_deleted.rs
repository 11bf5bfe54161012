//! A user was deleted: no new orders from now on. A worker cancels the open orders: their number has no bound.

use contracts::user::v1::UserDeleted;
use messaging::{Delivered, HandlerError, Transaction};
use service::user_deletion;

use crate::store::users;

pub async fn handle(
    transaction: &Transaction,
    event: UserDeleted,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let user_id = service::event_id("user_id", &event.user_id)?;
    users::MARKED
        .mark(transaction, user_id, &delivered.cause())
        .await?;
    user_deletion::wake(transaction);
    Ok(())
}
