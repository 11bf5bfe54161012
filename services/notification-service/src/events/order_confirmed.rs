//! An order was confirmed: the mail says that it will be delivered.

use contracts::order::v1::OrderConfirmed;
use messaging::{HandlerError, Received, Transaction};

use crate::notification::Kind;
use crate::{notify, templates};

pub async fn handle(
    transaction: &Transaction,
    events: Vec<Received<'_, OrderConfirmed>>,
) -> Result<(), HandlerError> {
    let to = |order: &OrderConfirmed| notify::parse(&order.user_id);
    notify::users(
        transaction,
        &events,
        Kind::OrderConfirmed,
        to,
        templates::order_confirmed,
    )
    .await
}
