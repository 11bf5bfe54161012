//! One row for each user that this service has heard of.

use std::fmt;

use sea_orm::entity::prelude::*;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recipient")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    pub email: String,
    pub display_name: String,
    /// The version of the user that the row shows.
    pub user_version: i64,
    /// There once the user's account was deleted: then nothing but the id is left.
    pub erased_at_ms: Option<i64>,
    /// There once nothing personal is left of the mails to them either.
    pub settled_at_ms: Option<i64>,
    /// What their deletion was caused by, until it is settled.
    pub correlation_id: Option<String>,
    /// The event of their deletion, until it is settled.
    pub deletion_event_id: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Shows no address and no name.
impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("recipient")
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}
