//! A user has registered: stores the recipient and writes the welcome mail.

use contracts::user::v1::UserCreated;
use messaging::{Delivered, HandlerError, Transaction};

use crate::notification::Recipient;
use crate::notify;
use crate::store::recipients;

pub async fn handle(
    transaction: &Transaction,
    event: UserCreated,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let recipient = Recipient {
        user_id: notify::parse(&event.user_id)?,
        email: event.email.clone(),
        display_name: event.display_name.clone(),
    };
    let version = delivered.envelope.aggregate_version.unwrap_or(1);
    recipients::learn(transaction, &recipient, version).await?;
    notify::mail(transaction, &event, delivered).await
}
