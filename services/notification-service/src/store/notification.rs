//! One row per mail.

use std::fmt;

use sea_orm::entity::prelude::*;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notification")]
pub struct Model {
    /// Ids rise with time: lists are ordered by them.
    #[sea_orm(primary_key, auto_increment = false)]
    pub notification_id: String,
    pub event_id: String,
    pub user_id: String,
    pub kind: String,
    pub state: String,
    /// When the mail was written. Empty, like name and bodies, after the user's account was deleted.
    pub email: String,
    pub display_name: String,
    pub subject: String,
    pub body_text: String,
    pub body_html: String,
    pub sealed_code: Option<Vec<u8>>,
    pub code_expires_at_ms: Option<i64>,
    /// If the mail is a copy.
    pub original_id: Option<String>,
    /// What the mail is about, unless it is about the user.
    pub order_id: Option<String>,
    /// Unwanted. Older releases see a failed mail.
    pub suppressed: bool,
    pub correlation_id: String,
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
    pub baggage: Option<String>,
    /// Counted before each attempt.
    pub attempts: i32,
    /// Attempts that began while the outcome of an earlier one was unknown.
    pub repeats: i32,
    /// Of the last attempt.
    pub failure: Option<String>,
    pub created_at_ms: i64,
    /// During an attempt, the end of its lease.
    pub due_at_ms: i64,
    /// Set while the outcome of an attempt is unknown.
    pub attempt_began_at_ms: Option<i64>,
    pub sent_at_ms: Option<i64>,
    pub failed_at_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Without address, name and body.
impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("notification")
            .field("notification_id", &self.notification_id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
