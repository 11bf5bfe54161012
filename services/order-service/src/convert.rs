//! Converts between domain and contract, for answers and events.

use contracts::order::v1::{Order as OrderMessage, OrderLine, OrderState, UserView, UserViewState};
use runtime::etag;
use service::time::timestamp;
use uuid::Uuid;

use crate::money::Money;
use crate::order::{Line, Order, State};
use crate::store::known_user;

pub fn order(order: &Order) -> OrderMessage {
    let shipment = order.shipment.clone();
    let cancellation = order.cancellation.clone();
    let expires = (order.state == State::Placed).then_some(order.expires_at_ms);
    OrderMessage {
        order_id: order.id.to_string(),
        user_id: order.user_id.to_string(),
        state: state(order.state).into(),
        lines: order.lines.iter().map(line).collect(),
        total_price: Some(money(&order.total)),
        create_time: Some(timestamp(order.created_at_ms)),
        update_time: Some(timestamp(order.updated_at_ms)),
        expire_time: expires.map(timestamp),
        confirm_time: order.confirmed_at_ms.map(timestamp),
        ship_time: shipment.as_ref().map(|shipment| timestamp(shipment.at_ms)),
        cancel_time: cancellation
            .as_ref()
            .map(|cancellation| timestamp(cancellation.at_ms)),
        cancellation_reason: cancellation.unwrap_or_default().reason,
        carrier: shipment.clone().unwrap_or_default().carrier,
        tracking_number: shipment.unwrap_or_default().tracking_number,
        etag: etag::of(order.version),
    }
}

pub fn user_view(user_id: Uuid, known: Option<&known_user::Model>) -> UserView {
    let state = match known {
        None => UserViewState::Unknown,
        Some(user) if user.deleted_at_ms.is_some() => UserViewState::Deleted,
        Some(_) => UserViewState::Active,
    };
    UserView {
        user_id: user_id.to_string(),
        state: state.into(),
        user_version: known.map_or(0, |user| user.version),
        event_time: known.map(|user| timestamp(user.event_at_ms)),
        handle_time: known.map(|user| timestamp(user.handled_at_ms)),
    }
}

pub fn line(line: &Line) -> OrderLine {
    OrderLine {
        sku: line.sku.clone(),
        // At most 10 000: the request was validated.
        quantity: i32::try_from(line.quantity).unwrap_or(i32::MAX),
        unit_price: Some(money(&line.unit_price)),
    }
}

pub fn money(money: &Money) -> contracts::money::Money {
    contracts::money::Money {
        currency_code: money.currency().to_owned(),
        units: money.units(),
        nanos: money.nanos(),
    }
}

pub fn state_of(state: OrderState) -> Option<State> {
    match state {
        OrderState::Unspecified => None,
        OrderState::Placed => Some(State::Placed),
        OrderState::Confirmed => Some(State::Confirmed),
        OrderState::Shipped => Some(State::Shipped),
        OrderState::Cancelled => Some(State::Cancelled),
    }
}

fn state(state: State) -> OrderState {
    match state {
        State::Placed => OrderState::Placed,
        State::Confirmed => OrderState::Confirmed,
        State::Shipped => OrderState::Shipped,
        State::Cancelled => OrderState::Cancelled,
    }
}
