//! A user has been deleted: from now on no orders are taken for them. What becomes of those that there are is settled in the
//! background, because there is no bound to their number.

use contracts::user::v1::UserDeleted;
use messaging::{Delivered, HandlerError, Transaction, trace};

use super::user_id;
use crate::settling;
use crate::store::users::{self, Deletion};

pub async fn handle(
    transaction: &Transaction,
    event: UserDeleted,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let deletion = Deletion {
        correlation_id: delivered.envelope.correlation_id.clone(),
        event_id: Some(delivered.envelope.id),
        trace: trace::current(),
    };
    users::mark_deleted(transaction, user_id(&event.user_id)?, deletion).await?;
    transaction.wake_on_commit(settling::SIGNAL);
    Ok(())
}
