//! An order has been cancelled: its user is told, with the reason that was given.

use contracts::order::v1::OrderCancelled;
use messaging::{Delivered, HandlerError, Transaction};

use crate::notification::Kind;
use crate::{notify, templates};

pub async fn handle(
    transaction: &Transaction,
    event: OrderCancelled,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    notify::user(
        transaction,
        &event.user_id,
        Kind::OrderCancelled,
        delivered,
        |name| templates::order_cancelled(name, &event),
    )
    .await
}
