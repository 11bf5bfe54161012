//! A notification: one mail to one user, caused by one event. Pure.
//!
//! Types with an address or a name have no `Debug`, so that no log shows them by accident.

use std::time::{Duration, Instant};

use messaging::trace::TraceContext;
use uuid::Uuid;

use crate::failure::Failure;
use crate::kinds::Kind;

/// The version of every event of a notification: only its final outcome is published.
pub const VERSION: i64 = 1;

/// The state of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Sent,
    Failed,
    /// Not sent, because the user wants no such mails.
    Suppressed,
}

/// A user as a recipient.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    pub user_id: Uuid,
    pub email: String,
    pub display_name: String,
}

/// An encrypted code, as it came with its event. It is decrypted only while the outgoing mail is built.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedCode {
    pub sealed: Vec<u8>,
    /// From this time on, it is invalid.
    pub expires_at_ms: i64,
}

/// A notification in a list.
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
    /// Why the last attempt failed; empty if none has.
    pub failure: String,
    /// The original, if this is a copy.
    pub original_id: Option<Uuid>,
    pub order_id: Option<Uuid>,
}

/// A notification to send.
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

/// One attempt to send a notification, starting with its lease.
pub struct Attempt {
    pub letter: Letter,
    /// 1 for the first attempt, then one more each time.
    pub number: i32,
    /// The outcome of an earlier attempt is unknown: the mail may have been sent.
    pub repeated: bool,
    /// By the database's clock.
    pub began_at_ms: i64,
    /// The same moment by this process's clock.
    pub began: Instant,
}

impl Attempt {
    /// The database's time, computed without a query.
    pub fn now_ms(&self) -> i64 {
        let since = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.began_at_ms.saturating_add(since)
    }
}

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The mail was handed over.
    Sent,
    /// The mail is retried after this time.
    Postponed(Failure, Duration),
    GivenUp(Failure),
}
