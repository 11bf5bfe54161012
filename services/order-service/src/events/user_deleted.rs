//! A user was deleted: no new orders from now on. A worker cancels the open orders later, because their number has no
//! bound.

use contracts::user::v1::UserDeleted;
use messaging::{Delivered, HandlerError, Transaction, trace};
use service::settling;

use super::user_id::user_id;
use crate::store::users::{self, Deletion};

pub async fn handle(
    transaction: &Transaction,
    event: UserDeleted,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let deletion = Deletion {
        cause: delivered.cause(),
        trace: trace::current(),
    };
    users::mark_deleted(transaction, user_id(&event.user_id)?, deletion).await?;
    settling::wake(transaction);
    Ok(())
}
