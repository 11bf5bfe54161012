//! Settles the deletion of users: gives up the mails to them that are still to be sent, and erases what is personal in all.
//!
//! The handler of `user.deleted` marks the user, from which moment on no mail is written or sent to them but the last; how many
//! there are has no bound, so they are looked after here, some in a transaction, until nothing is left. The mark is the work
//! list: a process that dies leaves it for the next. While events cannot be published this waits as commands do.

use contracts::notification::v1::NotificationFailed;
use messaging::{Transaction, outbox, trace};
use sea_orm::DbErr;
use service::settling::{Deleted, Deletions};
use service::time;
use store::Database;
use uuid::Uuid;

use crate::convert;
use crate::notification::VERSION;
use crate::store::{erasure, recipients};

/// Why such a mail is not sent, for who reads it later.
const DROPPED: &str = "the account was deleted before the mail was sent";
/// Mails that are given up in one transaction, each with its event: short enough that nobody has to wait for it.
const DROPPED_AT_ONCE: u64 = 50;
const ERASED_AT_ONCE: u64 = 500;

/// The mails to deleted users.
pub struct Mails;

impl Deletions for Mails {
    const WHAT: &'static str = "the mails to deleted users";

    fn due_in_ms(db: &Database) -> String {
        recipients::unsettled_due_in_ms(db)
    }

    async fn lock(transaction: &Transaction) -> anyhow::Result<Option<Deleted>> {
        Ok(recipients::lock_unsettled(transaction).await?)
    }

    async fn settle_some(transaction: &Transaction, user: &Deleted) -> anyhow::Result<bool> {
        let may_be_more = drop_some(transaction, user).await?
            || erasure::erase(transaction, user.user_id, ERASED_AT_ONCE).await? > 0;
        Ok(may_be_more)
    }

    async fn settled(transaction: &Transaction, user_id: Uuid) -> anyhow::Result<()> {
        Ok(recipients::settle(transaction, user_id).await?)
    }
}

/// Whether there may be more.
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
            kind: convert::kind(letter.kind).into(),
            event_id: letter.event_id.to_string(),
            failure: DROPPED.to_owned(),
            fail_time: Some(time::timestamp(now_ms)),
        };
        // In the trace of the mail, which began with what it was about.
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
