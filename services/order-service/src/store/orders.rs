//! One row per order.

use sea_orm::entity::prelude::*;

use super::state::state_name;
use crate::order::Order;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "orders")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: String,
    pub user_id: String,
    pub state: String,
    /// Of the total and of every line.
    pub currency: String,
    pub total_units: i64,
    pub total_nanos: i32,
    pub line_count: i32,
    /// Of the order's last event.
    pub version: i64,
    pub created_at_ms: i64,
    pub expires_at_ms: i64,
    pub updated_at_ms: i64,
    pub confirmed_at_ms: Option<i64>,
    pub shipped_at_ms: Option<i64>,
    pub carrier: Option<String>,
    pub tracking_number: Option<String>,
    pub cancelled_at_ms: Option<i64>,
    pub cancellation_reason: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(super) fn row(order: &Order) -> Model {
    let shipment = order.shipment.as_ref();
    let cancellation = order.cancellation.as_ref();
    Model {
        order_id: order.id.to_string(),
        user_id: order.user_id.to_string(),
        state: state_name(order.state).to_owned(),
        currency: order.total.currency().to_owned(),
        total_units: order.total.units(),
        total_nanos: order.total.nanos(),
        // At most 100: the request was validated.
        line_count: i32::try_from(order.lines.len()).unwrap_or(i32::MAX),
        version: order.version,
        created_at_ms: order.created_at_ms,
        expires_at_ms: order.expires_at_ms,
        updated_at_ms: order.updated_at_ms,
        confirmed_at_ms: order.confirmed_at_ms,
        shipped_at_ms: shipment.map(|shipment| shipment.at_ms),
        carrier: shipment.map(|shipment| shipment.carrier.clone()),
        tracking_number: shipment.map(|shipment| shipment.tracking_number.clone()),
        cancelled_at_ms: cancellation.map(|cancellation| cancellation.at_ms),
        cancellation_reason: cancellation.map(|cancellation| cancellation.reason.clone()),
    }
}
