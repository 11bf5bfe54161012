//! An order is on its way: its user is told who brings it, and under which number.

use contracts::order::v1::OrderShipped;
use messaging::{Delivered, HandlerError, Transaction};

use crate::notification::Kind;
use crate::{notify, templates};

pub async fn handle(
    transaction: &Transaction,
    event: OrderShipped,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    notify::user(
        transaction,
        &event.user_id,
        Kind::OrderShipped,
        delivered,
        |name| templates::order_shipped(name, &event),
    )
    .await
}
