//! An order was cancelled: the mail gives the reason.

use contracts::order::v1::OrderCancelled;
use messaging::{HandlerError, Received, Transaction};

use crate::notification::Kind;
use crate::{notify, templates};

pub async fn handle(
    transaction: &Transaction,
    events: Vec<Received<'_, OrderCancelled>>,
) -> Result<(), HandlerError> {
    notify::about_orders(
        transaction,
        &events,
        Kind::OrderCancelled,
        |order| (&order.order_id, &order.user_id),
        templates::order_cancelled,
    )
    .await
}
