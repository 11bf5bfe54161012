//! One row for each user that this service has heard of.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "known_user")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    /// Of the user's last event that was handled here.
    pub version: i64,
    /// When that event happened.
    pub event_at_ms: i64,
    pub handled_at_ms: i64,
    /// From then on no orders are taken.
    pub deleted_at_ms: Option<i64>,
    /// Since then nothing is left to be done about the deletion.
    pub settled_at_ms: Option<i64>,
    /// Of the deletion.
    pub correlation_id: Option<String>,
    /// The event of the deletion, until it is settled.
    pub deletion_event_id: Option<String>,
    /// Its trace.
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
    pub baggage: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
