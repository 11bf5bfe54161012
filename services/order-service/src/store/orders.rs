//! One row for each order.

use sea_orm::entity::prelude::*;

use super::state_name;
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
    /// The version of the order's last event.
    pub version: i64,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    pub cancelled_at_ms: Option<i64>,
    pub cancellation_reason: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(super) fn row(order: &Order) -> Model {
    Model {
        order_id: order.id.to_string(),
        user_id: order.user_id.to_string(),
        state: state_name(order.state).to_owned(),
        currency: order.total.currency().to_owned(),
        total_units: order.total.units(),
        total_nanos: order.total.nanos(),
        version: order.version,
        created_at_ms: order.created_at_ms,
        updated_at_ms: order.updated_at_ms,
        cancelled_at_ms: order
            .cancellation
            .as_ref()
            .map(|cancellation| cancellation.at_ms),
        cancellation_reason: order
            .cancellation
            .as_ref()
            .map(|cancellation| cancellation.reason.clone()),
    }
}
