//! A user has registered: from now on their address is known here, and they are welcomed.

use contracts::user::v1::UserCreated;
use messaging::{Delivered, HandlerError, Transaction};
use uuid::Uuid;

use crate::error::Error;
use crate::notification::{Kind, Recipient};
use crate::{mailer, store, templates};

pub async fn handle(
    transaction: &Transaction,
    event: UserCreated,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let user_id = Uuid::parse_str(&event.user_id).map_err(|_| Error::NotAUser)?;
    let recipient = Recipient {
        user_id,
        email: event.email,
        display_name: event.display_name,
    };
    let version = delivered.envelope.aggregate_version.unwrap_or(1);
    store::insert_recipient(&**transaction, &recipient, version).await?;

    let content = templates::welcome(&recipient.display_name);
    mailer::enqueue(transaction, &recipient, Kind::Welcome, content, delivered).await?;
    Ok(())
}
