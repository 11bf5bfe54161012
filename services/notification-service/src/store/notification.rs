//! One row for each mail, whatever has become of it.

use std::fmt;

use sea_orm::entity::prelude::*;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notification")]
pub struct Model {
    /// Rising with time, so that it is the order of lists as well.
    #[sea_orm(primary_key, auto_increment = false)]
    pub notification_id: String,
    pub event_id: String,
    pub user_id: String,
    pub kind: String,
    pub state: String,
    /// As it was when the mail was written: where it went stays known when the user has moved. Empty, as name and bodies are,
    /// once the user's account was deleted.
    pub email: String,
    pub display_name: String,
    pub subject: String,
    pub body_text: String,
    pub body_html: String,
    /// Of a mail that brings a code: as it came, to be opened when the mail is made.
    pub sealed_code: Option<Vec<u8>>,
    pub code_expires_at_ms: Option<i64>,
    /// What the mail is a copy of.
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
    /// The attempts that began although nobody knew how the one before had ended.
    pub repeats: i32,
    /// Why the last attempt failed.
    pub failure: Option<String>,
    pub created_at_ms: i64,
    /// When a pending mail is to be taken up; while it is being sent, the end of the lease on it.
    pub due_at_ms: i64,
    /// There while the outcome of an attempt is not known.
    pub attempt_began_at_ms: Option<i64>,
    pub sent_at_ms: Option<i64>,
    pub failed_at_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Shows no address, no name and no body.
impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("notification")
            .field("notification_id", &self.notification_id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
