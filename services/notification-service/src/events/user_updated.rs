//! A user has changed: later mails use the new address and name. The address before gets a mail: its owner may know
//! nothing of the change.

use contracts::user::v1::UserUpdated;
use messaging::{Delivered, HandlerError, Transaction};

use crate::notification::Recipient;
use crate::notify;
use crate::store::recipients;

pub async fn handle(
    transaction: &Transaction,
    event: UserUpdated,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let recipient = Recipient {
        user_id: notify::parse(&event.user_id)?,
        email: event.email.clone(),
        display_name: event.display_name.clone(),
    };
    let version = delivered
        .envelope
        .aggregate_version
        .ok_or_else(|| HandlerError::reject("the event has no version"))?;
    recipients::learn(transaction, &recipient, version).await?;
    if event.previous_email.is_empty() {
        return Ok(());
    }
    let previous = Recipient {
        email: event.previous_email.clone(),
        ..recipient
    };
    if recipients::find(transaction, previous.user_id)
        .await?
        .is_some()
    {
        notify::enqueue(transaction, &previous, &event, None, delivered).await?;
    }
    Ok(())
}
