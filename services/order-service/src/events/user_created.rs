//! A user has registered: from now on orders are taken for them.

use contracts::user::v1::UserCreated;
use messaging::{Delivered, HandlerError, Transaction};
use uuid::Uuid;

use crate::store;

pub async fn handle(
    transaction: &Transaction,
    event: UserCreated,
    _: &Delivered,
) -> Result<(), HandlerError> {
    let user_id = Uuid::parse_str(&event.user_id)
        .map_err(|error| HandlerError::reject(format!("user_id is not a UUID: {error}")))?;
    store::insert_user(&**transaction, user_id).await?;
    Ok(())
}
