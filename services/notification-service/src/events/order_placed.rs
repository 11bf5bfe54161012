//! A user has placed an order: they are told that we have it, and what is in it.

use contracts::order::v1::OrderPlaced;
use messaging::{Delivered, HandlerError, Transaction};

use crate::notification::Kind;
use crate::{notify, templates};

pub async fn handle(
    transaction: &Transaction,
    event: OrderPlaced,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    notify::user(
        transaction,
        &event.user_id,
        Kind::OrderPlaced,
        delivered,
        |name| templates::order_placed(name, &event),
    )
    .await
}
