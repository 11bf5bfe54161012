//! An order was placed: the mail confirms it and lists its content.

use contracts::order::v1::OrderPlaced;
use messaging::{HandlerError, Received, Transaction};

use crate::notification::Kind;
use crate::{notify, templates};

pub async fn handle(
    transaction: &Transaction,
    events: Vec<Received<'_, OrderPlaced>>,
) -> Result<(), HandlerError> {
    let to = |order: &OrderPlaced| notify::parse(&order.user_id);
    notify::users(
        transaction,
        &events,
        Kind::OrderPlaced,
        to,
        templates::order_placed,
    )
    .await
}
