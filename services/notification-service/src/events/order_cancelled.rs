//! An order has been cancelled: its user is told, with the reason that was given.

use contracts::order::v1::OrderCancelled;
use messaging::{Delivered, HandlerError, Transaction};

use crate::notification::Kind;
use crate::{mailer, store, templates};

pub async fn handle(
    transaction: &Transaction,
    event: OrderCancelled,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let recipient = store::recipient(&**transaction, &event.user_id).await?;
    let content = templates::order_cancelled(&recipient.display_name, &event);
    mailer::enqueue(
        transaction,
        &recipient,
        Kind::OrderCancelled,
        content,
        delivered,
    )
    .await?;
    Ok(())
}
