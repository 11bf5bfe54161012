//! A notification: one mail to one user, caused by one event. Pure.
//!
//! Types with an address or a name have no `Debug`: no log shows them by accident.

use std::time::{Duration, Instant};

use messaging::trace::TraceContext;
use uuid::Uuid;

use crate::failure::Failure;
use crate::kinds::Kind;

/// Of every event: only the final outcome is published.
pub const VERSION: i64 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Sent,
    Failed,
    /// The user wants no such mails.
    Suppressed,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    pub user_id: Uuid,
    pub email: String,
    pub display_name: String,
}

/// As it came with its event; decrypted only while the mail is built.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedCode {
    pub sealed: Vec<u8>,
    /// Invalid from this time on.
    pub expires_at_ms: i64,
}

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
    /// Of the last attempt; empty if none has failed.
    pub failure: String,
    /// If this is a copy.
    pub original_id: Option<Uuid>,
    pub order_id: Option<Uuid>,
}

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
    pub order_id: Option<Uuid>,
    /// The user wants no such mails: it is kept, and not sent.
    pub suppressed: bool,
    pub created_at_ms: i64,
    pub correlation_id: String,
    /// Of the span that wrote the notification.
    pub trace: TraceContext,
}

/// It starts with its lease.
pub struct Attempt {
    pub letter: Letter,
    /// From 1.
    pub number: i32,
    /// The outcome of an earlier attempt is unknown: the mail may have been sent.
    pub repeated: bool,
    /// By the database's clock.
    pub began_at_ms: i64,
    /// The same moment by this process's clock.
    pub began: Instant,
}

impl Attempt {
    /// The database's time, without a query.
    pub fn now_ms(&self) -> i64 {
        let since = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.began_at_ms.saturating_add(since)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Sent,
    /// Retried after this time.
    Postponed(Failure, Duration),
    GivenUp(Failure),
}
