//! Orders through their states, with one mail per step.

use anyhow::{Context as _, Result, ensure};
use contracts::notification::v1::NotificationKind;
use contracts::order::v1::{
    CancelOrderRequest, ConfirmOrderRequest, GetOrderRequest, OrderState, ShipOrderRequest,
};
use tonic::Code;

use crate::caller::{Caller, authorized};

/// The user of a token places two orders; an admin confirms and ships one, the user cancels the other. Each step causes
/// one mail.
pub async fn one_order_is_shipped_and_one_is_cancelled(
    caller: &Caller,
    token: &str,
    admin: &str,
) -> Result<()> {
    let mut orders = caller.orders.clone();
    caller.sent(token, NotificationKind::Welcome, 1).await?;

    let order = caller.place(token, "TEA-1").await?;
    ensure!(order.state() == OrderState::Placed, "{order:?}");
    let total = order.total_price.as_ref().context("no total")?;
    ensure!((total.units, total.nanos) == (9, 0), "{total:?}");
    let request = ConfirmOrderRequest {
        order_id: order.order_id.clone(),
        ..ConfirmOrderRequest::default()
    };
    let denied = orders
        .confirm_order(authorized(token, request.clone()))
        .await;
    let denied = denied.err().context("a user confirms an order")?;
    ensure!(denied.code() == Code::PermissionDenied, "{denied}");
    orders
        .confirm_order(authorized(admin, request))
        .await
        .context("confirming")?;
    let request = ShipOrderRequest {
        order_id: order.order_id.clone(),
        carrier: "Hermes".to_owned(),
        tracking_number: "H-1".to_owned(),
        ..ShipOrderRequest::default()
    };
    let shipped = orders
        .ship_order(authorized(admin, request))
        .await
        .context("shipping")?;
    let shipped = shipped.into_inner().order.context("no order")?;
    ensure!(shipped.state() == OrderState::Shipped, "{shipped:?}");

    let other = caller.place(token, "TEA-2").await?;
    let request = CancelOrderRequest {
        order_id: other.order_id,
        reason: "wrong tea".to_owned(),
        ..CancelOrderRequest::default()
    };
    orders
        .cancel_order(authorized(token, request.clone()))
        .await
        .context("cancelling")?;
    let again = orders.cancel_order(authorized(token, request)).await;
    let again = again.err().context("an order is cancelled twice")?;
    ensure!(again.code() == Code::FailedPrecondition, "{again}");

    let request = GetOrderRequest {
        order_id: order.order_id,
    };
    let found = orders.get_order(authorized(token, request)).await?;
    let found = found.into_inner().order.context("no order")?;
    ensure!(found == shipped, "{found:?}, after {shipped:?}");
    for (kind, number) in [
        (NotificationKind::OrderPlaced, 2),
        (NotificationKind::OrderConfirmed, 1),
        (NotificationKind::OrderShipped, 1),
        (NotificationKind::OrderCancelled, 1),
    ] {
        caller.sent(token, kind, number).await?;
    }
    Ok(())
}
