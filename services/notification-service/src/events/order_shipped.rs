//! An order was shipped: the mail names the carrier and the tracking number.

use contracts::order::v1::OrderShipped;
use messaging::{HandlerError, Received, Transaction};

use crate::notification::Kind;
use crate::{notify, templates};

pub async fn handle(
    transaction: &Transaction,
    events: Vec<Received<'_, OrderShipped>>,
) -> Result<(), HandlerError> {
    notify::about_orders(
        transaction,
        &events,
        Kind::OrderShipped,
        |order| (&order.order_id, &order.user_id),
        templates::order_shipped,
    )
    .await
}
