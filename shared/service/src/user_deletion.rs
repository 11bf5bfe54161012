//! Completes the deletion of users: a worker does the service's part in many small transactions.
//!
//! The handler of `user.deleted` marks the user ([`MarkedUsers`]) and calls [`wake`]. The marks are the work list: if a
//! process dies, the next one continues. While events cannot be published, the worker waits, as commands do. The last
//! step erases the user's personal data from the events that the service stores.

use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// The worker for `D`, until `stop`. A transaction that runs at the stop may be dropped; the next process repeats it.
/// Replicas may run the worker on the same database.
pub async fn run<D: Deletions>(store: Store, stop: CancellationToken) {
    let wakeup = store.wakeup(SIGNAL, D::MARKED.due_in_ms());
    let failing = Failing::default();
    let failed = |error: anyhow::Error| {
        // The log of the budget reports an overload.
        let is_overload = matches!(error.downcast_ref(), Some(BeginError::OverBudget(_)));
        if !is_overload {
            let what = D::WHAT;
            tracing::warn!(%error, "cannot finish {what}, retrying");
        }
    };
    wakeup
        .work(&stop, || settle_next::<D>(&store, &failing), failed)
        .await;
}

/// Users with a failed transaction: the worker goes on with the others, and tries these again at the end.
#[derive(Default)]
struct Failing(Mutex<Vec<String>>);

impl Failing {
    fn users(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One transaction of the worker. Returns whether there was unlocked work.
///
/// # Errors
/// If the database is unavailable, too many events wait to be published, or the user's work has failed.
pub async fn settle_some<D: Deletions>(store: &Store) -> anyhow::Result<bool> {
    let failing = Failing::default();
    let is_more = settle_next::<D>(store, &failing).await?;
    anyhow::ensure!(failing.users().is_empty(), "a user's deletion has failed");
    Ok(is_more)
}

async fn settle_next<D: Deletions>(store: &Store, failing: &Failing) -> anyhow::Result<bool> {
    let transaction = store.begin_command().await?;
    let failed = failing.users().clone();
    let Some(marked) = D::MARKED.lock_first(&transaction, failed).await? else {
        let left = std::mem::take(&mut *failing.users());
        anyhow::ensure!(
            left.is_empty(),
            "the deletion of {} users has failed",
            left.len()
        );
        return Ok(false);
    };
    let settled = match marked.user {
        Ok(user) => settle::<D>(transaction, user).await,
        Err(error) => Err(error.into()),
    };
    match settled {
        Err(error) if !is_transient(&error) => {
            let what = D::WHAT;
            tracing::warn!(%error, user.id = marked.user_id, "cannot finish {what}: continuing with other users");
            failing.users().push(marked.user_id);
        }
        settled => settled?,
    }
    Ok(true)
}

async fn settle<D: Deletions>(transaction: Transaction, user: Deleted) -> anyhow::Result<()> {
    let settling = async {
        let is_more = D::settle_some(&transaction, &user).await?
            || erasure::erase_some(&transaction, user.user_id).await?;
        if !is_more {
            D::MARKED.settle(&transaction, user.user_id).await?;
        }
        anyhow::Ok(transaction.commit().await?)
    };
    settling.instrument(user.span.clone()).await
}

fn is_transient(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(store::is_transient)
}
