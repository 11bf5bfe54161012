//! An order has been confirmed: its user is told that it will come.

use contracts::order::v1::OrderConfirmed;
use messaging::{Delivered, HandlerError, Transaction};

use crate::notification::Kind;
use crate::{notify, templates};

pub async fn handle(
    transaction: &Transaction,
    event: OrderConfirmed,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    notify::user(
        transaction,
        &event.user_id,
        Kind::OrderConfirmed,
        delivered,
        |name| templates::order_confirmed(name, &event),
    )
    .await
}
