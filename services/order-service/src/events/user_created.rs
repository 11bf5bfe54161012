//! A user has registered: from now on orders are taken for them.

use contracts::user::v1::UserCreated;
use messaging::{Delivered, HandlerError, Transaction};

use super::heard;
use crate::store::users;

pub async fn handle(
    transaction: &Transaction,
    event: UserCreated,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let heard = heard(&event.user_id, delivered)?;
    users::heard_of_user(transaction, &heard).await?;
    Ok(())
}
