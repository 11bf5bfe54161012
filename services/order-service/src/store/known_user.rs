//! One row per user that this service knows from events.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "known_user")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    /// Of the last handled event of the user.
    pub version: i64,
    /// When that event happened.
    pub event_at_ms: i64,
    pub handled_at_ms: i64,
    /// From then on, the user cannot place orders.
    pub deleted_at_ms: Option<i64>,
    /// The end of the work of the deletion.
    pub settled_at_ms: Option<i64>,
    /// Of the deletion.
    pub correlation_id: Option<String>,
    /// Of the deletion, until its work is complete.
    pub deletion_event_id: Option<String>,
    /// Of the deletion.
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
    pub baggage: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
