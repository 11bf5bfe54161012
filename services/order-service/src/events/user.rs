//! Any event of a user: the user may place orders from now on, and the view has the event's version.

use messaging::{Advanced, Delivered, HandlerError, Transaction};

use crate::store::users::{self, Heard};

pub async fn advanced(
    transaction: &Transaction,
    user: Advanced,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let heard = Heard {
        user_id: service::event_id("user_id", &user.aggregate_id)?,
        version: user.version,
        event_at_ms: delivered.envelope.time_ms,
    };
    users::heard_of_user(transaction, &heard).await?;
    Ok(())
}
