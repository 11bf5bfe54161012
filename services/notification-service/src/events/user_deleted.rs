//! A user has deleted their account: what is personal is erased here, what is still to be sent is dropped, and one last mail
//! says so. That one is erased too once it was sent or given up.

use contracts::notification::v1::NotificationFailed;
use contracts::user::v1::UserDeleted;
use messaging::{Cause, Delivered, HandlerError, Transaction, outbox};
use runtime::database;

use crate::notification::Kind;
use crate::store::{erasure, preferences, recipients};
use crate::{convert, mailer, notify, templates};

const DROPPED: &str = "the account was deleted before the mail was sent";

pub async fn handle(
    transaction: &Transaction,
    event: UserDeleted,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let db = &**transaction;
    let user_id = notify::parse(&event.user_id)?;
    // First, as it waits for those who are just writing to the user: the mails that they write are found by what follows.
    let known = recipients::erase(db, user_id).await?;

    let now_ms = database::now_ms(db).await?;
    for letter in erasure::drop_pending(db, user_id, DROPPED, now_ms).await? {
        let failed = NotificationFailed {
            notification_id: letter.id.to_string(),
            user_id: event.user_id.clone(),
            kind: convert::kind(letter.kind).into(),
            event_id: letter.event_id.to_string(),
            failure: DROPPED.to_owned(),
            fail_time: Some(convert::timestamp(now_ms)),
        };
        let cause = Cause {
            correlation_id: delivered.envelope.correlation_id.clone(),
        };
        outbox::enqueue(transaction, &failed, mailer::VERSION, &cause).await?;
    }
    erasure::erase(db, user_id).await?;
    preferences::delete(db, user_id).await?;

    if let Some(recipient) = known {
        let content = templates::account_deleted(&recipient.display_name);
        let kind = Kind::AccountDeleted;
        notify::enqueue(transaction, &recipient, kind, content, None, delivered).await?;
    }
    Ok(())
}
