//! Settles the deletion of users: gives up the mails to them that are still to be sent, and erases what is personal in all.
//!
//! The handler of `user.deleted` marks the user, from which moment on no mail is written or sent to them but the last; how many
//! there are has no bound, so they are looked after here, some in a transaction, until nothing is left. The mark is the work
//! list: a process that dies leaves it for the next. While events cannot be published this waits as commands do.

use contracts::notification::v1::NotificationFailed;
use messaging::{Cause, Store, Transaction, outbox, trace};
use service::CommonError;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::store::erasure;
use crate::store::recipients::{self, Unsettled};
use crate::{convert, mailer};

/// The signal that a committed deletion raises.
const SIGNAL: &str = "deletions";
/// Why such a mail is not sent, for who reads it later.
const DROPPED: &str = "the account was deleted before the mail was sent";
/// Mails that are given up in one transaction, each with its event: short enough that nobody has to wait for it.
const DROPPED_AT_ONCE: u64 = 50;
const ERASED_AT_ONCE: u64 = 500;

/// Has the mails to the users whom `transaction` marks looked after once it has committed.
pub fn wake(transaction: &Transaction) {
    transaction.wake_on_commit(SIGNAL);
}

/// The worker. Any number of replicas may run one on the same database.
pub struct Settling {
    store: Store,
}

impl Settling {
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Runs until `stop`, and ends with the transaction that it is at.
    pub async fn run(self, stop: CancellationToken) {
        let question = recipients::unsettled_due_in_ms(self.store.connection());
        let due = self.store.due(SIGNAL, question);
        let failed = |error| match error {
            // Told where it begins and ends.
            Error::Common(CommonError::Overloaded(_)) => {}
            error => {
                tracing::warn!(%error, "the mails to deleted users cannot be looked after, trying again");
            }
        };
        due.work(&stop, || self.settle_some(), failed).await;
    }

    /// One transaction's worth of work; the answer is whether there was some that nobody else is at.
    ///
    /// # Errors
    /// Where the database is away, or too much waits to be published.
    pub async fn settle_some(&self) -> Result<bool, Error> {
        let begun = self.store.begin_command().await;
        let transaction = begun.map_err(CommonError::from)?;
        let Some(user) = recipients::lock_unsettled(&transaction).await? else {
            return Ok(false);
        };
        let is_done = !drop_some(&transaction, &user).await?
            && erasure::erase(&transaction, user.user_id, ERASED_AT_ONCE).await? == 0;
        if is_done {
            recipients::settle(&transaction, user.user_id).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}

/// Whether there may be more.
async fn drop_some(transaction: &Transaction, user: &Unsettled) -> Result<bool, Error> {
    let (db, user_id) = (transaction, user.user_id);
    let now_ms = ::store::now_ms(db).await?;
    let dropped = erasure::drop_pending(db, user_id, DROPPED, now_ms, DROPPED_AT_ONCE).await?;
    let (dropped, letters) = dropped;
    let cause = Cause {
        correlation_id: user.correlation_id.clone(),
        event_id: user.event_id,
    };
    for letter in letters {
        let failed = NotificationFailed {
            notification_id: letter.id.to_string(),
            user_id: user_id.to_string(),
            kind: convert::kind(letter.kind).into(),
            event_id: letter.event_id.to_string(),
            failure: DROPPED.to_owned(),
            fail_time: Some(convert::timestamp(now_ms)),
        };
        // In the trace of the mail, which began with what it was about.
        let span = tracing::info_span!(
            "drop mail",
            otel.kind = "internal",
            notification.id = %letter.id,
            correlation_id = cause.correlation_id,
        );
        trace::continue_in(&span, &letter.trace);
        span.in_scope(|| outbox::enqueue(transaction, &failed, mailer::VERSION, &cause))?;
    }
    Ok(dropped > 0)
}
