//! What a notification is: one mail to one user, because of one event. Pure.
//!
//! What holds an address or a name has no `Debug`, so that no log can show it by accident.

use messaging::trace::TraceContext;
use uuid::Uuid;

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Welcome,
    OrderPlaced,
    OrderCancelled,
}

impl Kind {
    /// Those that this release knows. A later one, before a rollback, may have written others.
    pub const ALL: [Self; 3] = [Self::Welcome, Self::OrderPlaced, Self::OrderCancelled];
}

/// How far a mail has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Sent,
    Failed,
}

/// A user as mails need them.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    pub user_id: Uuid,
    pub email: String,
    pub display_name: String,
}

/// What a mail says, in both of its forms.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// Holds no personal data: subjects are shown in lists, and on locked screens.
    pub subject: &'static str,
    pub text: String,
    pub html: String,
}

/// A notification as it is listed.
pub struct Notification {
    pub id: Uuid,
    pub user_id: Uuid,
    pub kind: Kind,
    pub state: State,
    pub email: String,
    pub subject: String,
    pub event_id: Uuid,
    pub created_at_ms: i64,
    pub sent_at_ms: Option<i64>,
    /// Why the last attempt failed; empty where none has.
    pub failure: String,
}

/// A notification as it is sent.
pub struct Letter {
    pub id: Uuid,
    pub user_id: Uuid,
    pub kind: Kind,
    pub event_id: Uuid,
    pub email: String,
    pub display_name: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub created_at_ms: i64,
    pub correlation_id: String,
    /// Of the span that wrote the notification.
    pub trace: TraceContext,
    /// This attempt: 1, and one more each time.
    pub attempt: i32,
    /// Nobody knows how the attempt before this one ended: the mail may have been sent then.
    pub repeated: bool,
}
