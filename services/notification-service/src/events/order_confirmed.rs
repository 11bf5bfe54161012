//! An order was confirmed: the mail says that it will be delivered.

use contracts::order::v1::OrderConfirmed;
use messaging::{HandlerError, Received, Transaction};

use crate::notification::Kind;
use crate::{notify, templates};

pub async fn handle(
    transaction: &Transaction,
    events: Vec<Received<'_, OrderConfirmed>>,
) -> Result<(), HandlerError> {
    notify::about_orders(
        transaction,
        &events,
        Kind::OrderConfirmed,
        |order| (&order.order_id, &order.user_id),
        templates::order_confirmed,
    )
    .await
}
