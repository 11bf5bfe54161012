//! Completes the deletion of users: a worker does the service's part in many small transactions.
//!
//! The handler of `user.deleted` marks the user ([`MarkedUsers`]) and calls [`wake`]. The marks are the work list: if a
//! process dies, the next one continues. While events cannot be published, the worker waits, as commands do. The last
//! step erases the user's personal data from the events that the service stores.

use messaging::{BeginError, Store, Transaction};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::erasure;

mod marked;

pub use marked::{Deleted, MarkedUsers};

/// The signal that a committed mark raises.
const SIGNAL: &str = "deletions";

/// A service's part in the deletion of users.
pub trait Deletions: Send + Sync + 'static {
    /// The work, for the log: `the orders of deleted users`.
    const WHAT: &'static str;

    /// Its table of users, with the marks.
    const MARKED: MarkedUsers;

    /// Does the work of one transaction. Returns whether there may be more.
    fn settle_some(
        transaction: &Transaction,
        user: &Deleted,
    ) -> impl Future<Output = anyhow::Result<bool>> + Send;
}

/// Wakes the worker after the commit of `transaction`.
pub fn wake(transaction: &Transaction) {
    transaction.wake_on_commit(SIGNAL);
}

/// The worker for `D`, until `stop`. It finishes its current transaction. Replicas may run it on the same database.
pub async fn run<D: Deletions>(store: Store, stop: CancellationToken) {
    let wakeup = store.wakeup(SIGNAL, D::MARKED.due_in_ms());
    let failed = |error: anyhow::Error| {
        // The log of the budget reports an overload.
        let is_overload = matches!(error.downcast_ref(), Some(BeginError::OverBudget(_)));
        if !is_overload {
            let what = D::WHAT;
            tracing::warn!(%error, "cannot finish {what}, retrying");
        }
    };
    wakeup
        .work(&stop, || settle_some::<D>(&store), failed)
        .await;
}

/// One transaction of the worker. Returns whether there was unlocked work.
///
/// # Errors
/// If the database is unavailable, or too many events wait to be published.
pub async fn settle_some<D: Deletions>(store: &Store) -> anyhow::Result<bool> {
    let transaction = store.begin_command().await?;
    let Some(user) = D::MARKED.lock_first(&transaction).await? else {
        return Ok(false);
    };
    let settling = async {
        let is_more = D::settle_some(&transaction, &user).await?
            || erasure::erase_some(&transaction, user.user_id).await?;
        if !is_more {
            D::MARKED.settle(&transaction, user.user_id).await?;
        }
        anyhow::Ok(transaction.commit().await?)
    };
    settling.instrument(user.span.clone()).await?;
    Ok(true)
}
