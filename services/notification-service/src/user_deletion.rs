//! Completes the deletion of users: gives up their pending mails, and erases personal data in all of their mails.
//!
//! The handler of `user.deleted` marks the user; from then on the user gets only the last mail. The worker of
//! [`service::user_deletion`] handles some mails per transaction until none is left.

use contracts::notification::v1::NotificationFailed;
use messaging::{Transaction, outbox, trace};
use sea_orm::DbErr;
use service::time;
use service::user_deletion::{Deleted, Deletions, MarkedUsers};

use crate::notification::VERSION;
use crate::store::{erasure, recipients};

/// For people.
const DROPPED: &str = "the account was deleted before the mail was sent";
/// Per transaction, each with its event: few, so that no other transaction waits long.
const DROPPED_AT_ONCE: u64 = 50;
const ERASED_AT_ONCE: u64 = 500;

pub struct Mails;

impl Deletions for Mails {
    const WHAT: &'static str = "the mails to deleted users";
    const MARKED: MarkedUsers = recipients::MARKED;

    async fn settle_some(transaction: &Transaction, user: &Deleted) -> anyhow::Result<bool> {
        let may_be_more = drop_some(transaction, user).await?
            || erasure::erase(transaction, user.user_id, ERASED_AT_ONCE).await? > 0;
        Ok(may_be_more)
    }
}

/// Returns whether there may be more.
async fn drop_some(transaction: &Transaction, user: &Deleted) -> Result<bool, DbErr> {
    let (db, user_id) = (transaction, user.user_id);
    let now_ms = ::store::now_ms(db).await?;
    let dropped = erasure::drop_pending(db, user_id, DROPPED, now_ms, DROPPED_AT_ONCE).await?;
    let (dropped, letters) = dropped;
    let cause = &user.cause;
    for letter in letters {
        let failed = NotificationFailed {
            notification_id: letter.id.to_string(),
            user_id: user_id.to_string(),
            kind: letter.kind.row().proto.into(),
            event_id: letter.event_id.to_string(),
            failure: DROPPED.to_owned(),
            fail_time: Some(time::timestamp(now_ms)),
        };
        // In the trace of the mail, which began with its cause.
        let span = tracing::info_span!(
            "drop mail",
            otel.kind = "internal",
            notification.id = %letter.id,
            correlation_id = cause.correlation_id,
        );
        trace::continue_in(&span, &letter.trace);
        span.in_scope(|| outbox::enqueue(transaction, &failed, VERSION, cause))?;
    }
    Ok(dropped > 0)
}
