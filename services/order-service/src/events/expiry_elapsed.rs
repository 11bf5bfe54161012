//! The expiry time of an order has come: cancels it, unless it was confirmed meanwhile.

use contracts::order::v1::ExpiryElapsed;
use messaging::{Delivered, HandlerError, Transaction};

use crate::changes;
use crate::error::Error;
use crate::order::{Change, State};
use crate::store;

/// For the user.
const REASON: &str = "it was not confirmed in time";

pub async fn handle(
    transaction: &Transaction,
    event: ExpiryElapsed,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let order_id = service::event_id("order_id", &event.order_id)?;
    let mut order = store::lock_order(transaction, order_id, None)
        .await?
        .ok_or(Error::OrderNotFound(order_id))?;
    if order.state != State::Placed {
        return Ok(());
    }
    let change = Change::Cancel {
        reason: REASON.to_owned(),
    };
    changes::apply(
        transaction,
        &mut order,
        change,
        delivered.now_ms,
        &delivered.cause(),
    )
    .await?;
    Ok(())
}
