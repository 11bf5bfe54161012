//! Applies changes to an order, with everything that must commit together: row, event, expiry timer, and signal to
//! watchers.

use contracts::order::v1::{
    ExpiryElapsed, OrderCancelled, OrderConfirmed, OrderPlaced, OrderShipped,
};
use messaging::{Cause, Transaction, outbox, timer};
use sea_orm::DbErr;
use service::time;

use crate::convert;
use crate::error::Error;
use crate::order::{Change, Order, State};
use crate::store;
use crate::watch;

pub async fn place(transaction: &Transaction, order: &Order, cause: &Cause) -> Result<(), DbErr> {
    store::insert_order(transaction, order).await?;
    timer::set(transaction, &expiry(order), order.expires_at_ms, cause)?;
    publish(transaction, order, cause).await
}

pub async fn apply(
    transaction: &Transaction,
    order: &mut Order,
    change: Change,
    now_ms: i64,
    cause: &Cause,
) -> Result<(), Error> {
    let was_placed = order.state == State::Placed;
    order
        .apply(change, now_ms)
        .map_err(|illegal| Error::State {
            order_id: order.id,
            illegal,
        })?;
    store::update_order(transaction, order).await?;
    if was_placed {
        // Too late for a timer that has fired: its handler finds the order in another state and does nothing.
        timer::cancel::<ExpiryElapsed>(transaction, &order.id.to_string()).await?;
    }
    publish(transaction, order, cause).await?;
    Ok(())
}

/// The state determines the event, because only one kind of change leads to each state.
async fn publish(transaction: &Transaction, order: &Order, cause: &Cause) -> Result<(), DbErr> {
    transaction.wake_on_commit(watch::SIGNAL);
    let (order_id, user_id) = (order.id.to_string(), order.user_id.to_string());
    let time = Some(time::timestamp(order.updated_at_ms));
    let version = order.version;
    match order.state {
        State::Placed => {
            let placed = OrderPlaced {
                order_id,
                user_id,
                lines: order.lines.iter().map(convert::line).collect(),
                total_price: Some(convert::money(&order.total)),
                create_time: time,
            };
            outbox::enqueue(transaction, &placed, version, cause)?;
        }
        State::Confirmed => {
            let confirmed = OrderConfirmed {
                order_id,
                user_id,
                confirm_time: time,
            };
            outbox::enqueue(transaction, &confirmed, version, cause)?;
        }
        State::Shipped => {
            let shipment = order.shipment.clone().unwrap_or_default();
            let shipped = OrderShipped {
                order_id,
                user_id,
                carrier: shipment.carrier,
                tracking_number: shipment.tracking_number,
                ship_time: time,
            };
            outbox::enqueue(transaction, &shipped, version, cause)?;
        }
        State::Cancelled => {
            let cancellation = order.cancellation.clone().unwrap_or_default();
            let cancelled = OrderCancelled {
                order_id,
                user_id,
                reason: cancellation.reason,
                cancel_time: time,
            };
            outbox::enqueue(transaction, &cancelled, version, cause)?;
        }
    }
    Ok(())
}

fn expiry(order: &Order) -> ExpiryElapsed {
    ExpiryElapsed {
        order_id: order.id.to_string(),
    }
}
