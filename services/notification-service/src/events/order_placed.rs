//! A user has placed an order: the mail says that we have it, and what is in it.

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
