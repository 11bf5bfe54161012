//! Settles the deletion of users: a worker does what a service has to do about them, some in each transaction.
//!
//! The handler of `user.deleted` marks the user and calls [`wake`]; how much is left to be done has no bound. The mark is the work
//! list: a process that dies leaves it for the next. While events cannot be published the worker waits, as commands do.
//!
//! The last step is the same for all services: the user's personal data is erased from the events that the service holds, has given
//! up on or has published.

use messaging::{BeginError, Cause, Store, Transaction};
use store::Database;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::erasure;

/// The signal that a committed mark raises.
const SIGNAL: &str = "deletions";

/// A user who was deleted, and about whom something is left to be done.
pub struct Deleted {
    /// The user.
    pub user_id: Uuid,
    /// The deletion, as the cause of what is done about it.
    pub cause: Cause,
    /// The span of what is done about it; [`Span::none`] where there is none.
    pub span: Span,
}

/// What a service does about users who were deleted.
pub trait Deletions: Send + Sync + 'static {
    /// What is looked after, for the log: `the orders of deleted users`.
    const WHAT: &'static str;

    /// The query for [`Store::due`] that finds out whether a user is marked, locked or not.
    fn due_in_ms(db: &Database) -> String;

    /// The marked user who has waited longest, locked; `None` where another replica is at all of them.
    ///
    /// # Errors
    /// Where the database refuses.
    fn lock(
        transaction: &Transaction,
    ) -> impl Future<Output = anyhow::Result<Option<Deleted>>> + Send;

    /// One transaction's worth of work; the answer is whether there may be more.
    ///
    /// # Errors
    /// Where it cannot be done: it is tried again.
    fn settle_some(
        transaction: &Transaction,
        user: &Deleted,
    ) -> impl Future<Output = anyhow::Result<bool>> + Send;

    /// Takes the mark off: nothing is left to be done.
    ///
    /// # Errors
    /// Where the database refuses.
    fn settled(
        transaction: &Transaction,
        user_id: Uuid,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Has the users whom `transaction` marks looked after once it has committed.
pub fn wake(transaction: &Transaction) {
    transaction.wake_on_commit(SIGNAL);
}

/// The worker for `D`, until `stop`. It ends with the transaction that it is at. Any number of replicas may run one on the same
/// database.
pub async fn run<D: Deletions>(store: Store, stop: CancellationToken) {
    let due = store.due(SIGNAL, D::due_in_ms(store.connection()));
    let failed = |error: anyhow::Error| {
        // The log reports where an overload begins and ends.
        let is_overload = matches!(error.downcast_ref(), Some(BeginError::OverBudget(_)));
        if !is_overload {
            let what = D::WHAT;
            tracing::warn!(%error, "{what} cannot be looked after, trying again");
        }
    };
    due.work(&stop, || settle_some::<D>(&store), failed).await;
}

/// One transaction of the worker; the answer is whether there was something to do that no other replica is at.
///
/// # Errors
/// Where the database is away, or too much waits to be published.
pub async fn settle_some<D: Deletions>(store: &Store) -> anyhow::Result<bool> {
    let transaction = store.begin_command().await?;
    let Some(user) = D::lock(&transaction).await? else {
        return Ok(false);
    };
    let settling = async {
        let is_more = D::settle_some(&transaction, &user).await?
            || erasure::erase_some(&transaction, user.user_id).await?;
        if !is_more {
            D::settled(&transaction, user.user_id).await?;
        }
        anyhow::Ok(transaction.commit().await?)
    };
    settling.instrument(user.span.clone()).await?;
    Ok(true)
}
