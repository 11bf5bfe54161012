//! A user was deleted: erases the recipient and writes one last mail. [`user_deletion`](crate::user_deletion) erases the older
//! mails; the last one is erased after it was sent or given up.

use contracts::user::v1::UserDeleted;
use messaging::{Delivered, HandlerError, Transaction};
use service::user_deletion;

use crate::notify;
use crate::store::{preferences, recipients};

pub async fn handle(
    transaction: &Transaction,
    event: UserDeleted,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let db = transaction;
    let user_id = notify::parse(&event.user_id)?;
    // First: it waits for transactions that write to the user, so the next steps find their mails.
    let known = recipients::erase(db, user_id, &delivered.cause()).await?;
    preferences::delete(db, user_id).await?;
    user_deletion::wake(transaction);

    if let Some(recipient) = known {
        notify::enqueue(transaction, &recipient, &event, None, delivered).await?;
    }
    Ok(())
}
