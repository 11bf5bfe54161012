//! One row per mail, in any state.

use std::fmt;

use sea_orm::entity::prelude::*;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notification")]
pub struct Model {
    /// Ids rise with time, so lists are ordered by them.
    #[sea_orm(primary_key, auto_increment = false)]
    pub notification_id: String,
    pub event_id: String,
    pub user_id: String,
    pub kind: String,
    pub state: String,
    /// The address when the mail was written, which stays if the user changes it. Empty, like name and bodies, after
    /// the user's account was deleted.
    pub email: String,
    pub display_name: String,
    pub subject: String,
    pub body_text: String,
    pub body_html: String,
    /// The encrypted code, if the mail has one.
    pub sealed_code: Option<Vec<u8>>,
    pub code_expires_at_ms: Option<i64>,
    /// The original, if the mail is a copy.
    pub original_id: Option<String>,
    /// What the mail is about, unless it is about the user.
    pub order_id: Option<String>,
    /// Its user wants no such mails. To releases that do not know this it has failed.
    pub suppressed: bool,
    pub correlation_id: String,
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
    pub baggage: Option<String>,
    /// Counted before each attempt.
    pub attempts: i32,
    /// The number of attempts that began while the outcome of an earlier one was unknown.
    pub repeats: i32,
    /// Why the last attempt failed.
    pub failure: Option<String>,
    pub created_at_ms: i64,
    /// When a pending mail is due; during an attempt, the end of its lease.
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
