//! A user has deleted their account: who it was is erased here, and one last mail says so. What was written to them is looked
//! after by [`settling`](crate::settling), as it has no bound. The last mail is erased too once it was sent or given up.

use contracts::user::v1::UserDeleted;
use messaging::{Delivered, HandlerError, Transaction};
use service::settling;

use crate::notification::Kind;
use crate::store::{preferences, recipients};
use crate::{notify, templates};

pub async fn handle(
    transaction: &Transaction,
    event: UserDeleted,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let db = transaction;
    let user_id = notify::parse(&event.user_id)?;
    // First, as it waits for those who are just writing to the user: the mails that they write are found by what follows.
    let known = recipients::erase(db, user_id, &delivered.cause()).await?;
    preferences::delete(db, user_id).await?;
    settling::wake(transaction);

    if let Some(recipient) = known {
        let content = templates::account_deleted(&recipient.display_name);
        let kind = Kind::AccountDeleted;
        notify::enqueue(transaction, &recipient, kind, content, None, delivered).await?;
    }
    Ok(())
}
