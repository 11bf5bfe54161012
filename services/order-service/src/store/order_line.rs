//! One row per line of an order, in the order of the request.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

use crate::order::Line;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "order_line")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    pub sku: String,
    pub quantity: i32,
    pub currency: String,
    pub price_units: i64,
    pub price_nanos: i32,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(super) fn row(order_id: Uuid, position: i32, line: &Line) -> Model {
    Model {
        order_id: order_id.to_string(),
        position,
        sku: line.sku.clone(),
        // At most 10 000: the request was validated.
        quantity: i32::try_from(line.quantity).unwrap_or(i32::MAX),
        currency: line.unit_price.currency().to_owned(),
        price_units: line.unit_price.units(),
        price_nanos: line.unit_price.nanos(),
    }
}
