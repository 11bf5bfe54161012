//! An order was placed: the mail confirms it and lists its content.

use contracts::order::v1::OrderPlaced;
use messaging::{HandlerError, Received, Transaction};

use crate::notification::Kind;
use crate::{notify, templates};

pub async fn handle(
    transaction: &Transaction,
    events: Vec<Received<'_, OrderPlaced>>,
) -> Result<(), HandlerError> {
    notify::about_orders(
        transaction,
        &events,
        Kind::OrderPlaced,
        |order| (&order.order_id, &order.user_id),
        templates::order_placed,
    )
    .await
}
