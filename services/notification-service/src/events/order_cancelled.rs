//! An order was cancelled: the mail gives the reason.

use contracts::order::v1::OrderCancelled;
use messaging::{HandlerError, Received, Transaction};

use crate::notification::Kind;
use crate::{notify, templates};

pub async fn handle(
    transaction: &Transaction,
    events: Vec<Received<'_, OrderCancelled>>,
) -> Result<(), HandlerError> {
    let to = |order: &OrderCancelled| notify::parse(&order.user_id);
    notify::users(
        transaction,
        &events,
        Kind::OrderCancelled,
        to,
        templates::order_cancelled,
    )
    .await
}
