//! One row per user that this service knows from events.

use std::fmt;

use sea_orm::entity::prelude::*;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recipient")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    pub email: String,
    pub display_name: String,
    /// The version of the user in this row.
    pub user_version: i64,
    /// The user's account was deleted; only the id is left.
    pub erased_at_ms: Option<i64>,
    /// The mails to the user are erased, too.
    pub settled_at_ms: Option<i64>,
    /// Of the deletion, until its work is complete.
    pub correlation_id: Option<String>,
    /// Of the deletion, until its work is complete.
    pub deletion_event_id: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("recipient")
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}
