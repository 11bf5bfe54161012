//! One row per user that this service knows from events.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "known_user")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    /// The version of the last handled event of the user.
    pub version: i64,
    /// When that event happened.
    pub event_at_ms: i64,
    pub handled_at_ms: i64,
    /// From then on, the user cannot place orders.
    pub deleted_at_ms: Option<i64>,
    /// When the work of the deletion was complete.
    pub settled_at_ms: Option<i64>,
    /// The correlation id of the deletion.
    pub correlation_id: Option<String>,
    /// The event of the deletion, until its work is complete.
    pub deletion_event_id: Option<String>,
    /// The trace of the deletion.
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
    pub baggage: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
