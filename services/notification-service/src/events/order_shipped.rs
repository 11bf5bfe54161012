//! An order was shipped: the mail names the carrier and the tracking number.

use contracts::order::v1::OrderShipped;
use messaging::{HandlerError, Received, Transaction};

use crate::notification::Kind;
use crate::{notify, templates};

pub async fn handle(
    transaction: &Transaction,
    events: Vec<Received<'_, OrderShipped>>,
) -> Result<(), HandlerError> {
    let to = |order: &OrderShipped| notify::parse(&order.user_id);
    notify::users(
        transaction,
        &events,
        Kind::OrderShipped,
        to,
        templates::order_shipped,
    )
    .await
}
