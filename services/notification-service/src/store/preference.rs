//! One row per user who has changed their mail preferences.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "preference")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    pub order_placed: bool,
    pub order_confirmed: bool,
    pub order_shipped: bool,
    pub order_cancelled: bool,
    /// The names of other refused kinds, separated by spaces.
    pub refused: String,
    pub version: i64,
    pub updated_at_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
