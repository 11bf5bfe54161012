//! A user has changed: later mails use the new address and name.

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
        email: event.email,
        display_name: event.display_name,
    };
    let version = delivered
        .envelope
        .aggregate_version
        .ok_or_else(|| HandlerError::reject("the event has no version"))?;
    recipients::learn(transaction, &recipient, version).await?;
    Ok(())
}
