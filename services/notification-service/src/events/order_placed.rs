//! A user has placed an order: they are told that we have it, and what is in it.

use contracts::order::v1::OrderPlaced;
use messaging::{Delivered, HandlerError, Transaction};

use crate::notification::Kind;
use crate::{mailer, store, templates};

pub async fn handle(
    transaction: &Transaction,
    event: OrderPlaced,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let recipient = store::recipient(&**transaction, &event.user_id).await?;
    let content = templates::order_placed(&recipient.display_name, &event);
    mailer::enqueue(
        transaction,
        &recipient,
        Kind::OrderPlaced,
        content,
        delivered,
    )
    .await?;
    Ok(())
}
