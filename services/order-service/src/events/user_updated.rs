//! A user has been changed. Nothing of what can change is kept here; that it was heard is, as of any event.

use contracts::user::v1::UserUpdated;
use messaging::{Delivered, HandlerError, Transaction};

use super::heard;
use crate::store::users;

pub async fn handle(
    transaction: &Transaction,
    event: UserUpdated,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let heard = heard(&event.user_id, delivered)?;
    users::heard_of_user(transaction, &heard).await?;
    Ok(())
}
