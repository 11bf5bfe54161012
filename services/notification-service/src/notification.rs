//! What a notification is: one mail to one user, because of one event. Pure.
//!
//! What holds an address or a name has no `Debug`, so that no log can show it by accident.

use std::time::{Duration, Instant};

use mail_codes::Purpose;
use messaging::trace::TraceContext;
use uuid::Uuid;

use crate::failure::Failure;

/// The version of every event here: a notification ends once, and only its end is published.
pub const VERSION: i64 = 1;

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Welcome,
    EmailVerification,
    PasswordReset,
    OrderPlaced,
    OrderConfirmed,
    OrderShipped,
    OrderCancelled,
    AccountDeleted,
}

impl Kind {
    /// Those that this release knows. A later one, before a rollback, may have written others.
    pub const ALL: [Self; 8] = [
        Self::Welcome,
        Self::EmailVerification,
        Self::PasswordReset,
        Self::OrderPlaced,
        Self::OrderConfirmed,
        Self::OrderShipped,
        Self::OrderCancelled,
        Self::AccountDeleted,
    ];

    /// What the code in such a mail is good for; `None` where there is none.
    pub fn code(self) -> Option<Purpose> {
        match self {
            Self::EmailVerification => Some(Purpose::EmailVerification),
            Self::PasswordReset => Some(Purpose::PasswordReset),
            _ => None,
        }
    }
}

/// How far a mail has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Sent,
    Failed,
    /// Not sent, because the user wants no such mails.
    Suppressed,
}

/// A user as mails need them.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    pub user_id: Uuid,
    pub email: String,
    pub display_name: String,
}

/// What a mail says, in both of its forms. [`CODE`](crate::templates::CODE) stands where a code goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// Holds no personal data: subjects are shown in lists, and on locked screens.
    pub subject: &'static str,
    pub text: String,
    pub html: String,
}

/// A code as it came with its event. It is opened while the mail is made that goes out, and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedCode {
    pub sealed: Vec<u8>,
    /// From when on it does not work any more.
    pub expires_at_ms: i64,
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
    /// What this is a copy of.
    pub original_id: Option<Uuid>,
    pub order_id: Option<Uuid>,
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
    pub code: Option<SealedCode>,
    pub original_id: Option<Uuid>,
    /// The order that the mail is about.
    pub order_id: Option<Uuid>,
    /// Whether its user wants no such mails: then it is kept, and not sent.
    pub suppressed: bool,
    pub created_at_ms: i64,
    pub correlation_id: String,
    /// Of the span that wrote the notification.
    pub trace: TraceContext,
}

/// One attempt to send a notification, from the moment that it was leased.
pub struct Attempt {
    pub letter: Letter,
    /// 1, and one more each time.
    pub number: i32,
    /// How an earlier attempt ended is not known: the mail may have been sent then.
    pub repeated: bool,
    /// By the database's clock.
    pub began_at_ms: i64,
    /// The same moment, by the clock of this process.
    pub began: Instant,
}

impl Attempt {
    /// The database's time, without asking it again.
    pub fn now_ms(&self) -> i64 {
        let since = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.began_at_ms.saturating_add(since)
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The mail was handed over.
    Sent,
    /// The mail is tried again after this time.
    Postponed(Failure, Duration),
    GivenUp(Failure),
}
