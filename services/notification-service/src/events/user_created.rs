//! A user has registered: stores the recipient and writes the welcome mail.

use contracts::user::v1::UserCreated;
use messaging::{Delivered, HandlerError, Transaction};

use crate::notification::{Kind, Recipient};
use crate::store::recipients;
use crate::{notify, templates};

pub async fn handle(
    transaction: &Transaction,
    event: UserCreated,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let recipient = Recipient {
        user_id: notify::parse(&event.user_id)?,
        email: event.email,
        display_name: event.display_name,
    };
    let version = delivered.envelope.aggregate_version.unwrap_or(1);
    recipients::learn(transaction, &recipient, version).await?;
    notify::user(
        transaction,
        &event.user_id,
        Kind::Welcome,
        delivered,
        templates::welcome,
    )
    .await
}
