//! Settles the deletion of users: cancels their open orders and erases what was written about the others.
//!
//! The handler of `user.deleted` marks the user, from which moment on no order is taken for them; how much is left to be done
//! has no bound, so it is done here, a few orders in a transaction, until nothing is left. The mark is the work list: a
//! process that dies leaves it for the next. While events cannot be published this waits as commands do.

use messaging::{Cause, Store, Transaction, outbox, trace};
use service::CommonError;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::changes;
use crate::error::Error;
use crate::order::Change;
use crate::store::users::Unsettled;
use crate::store::{settling, users};

/// The signal that a committed deletion raises.
pub const SIGNAL: &str = "deletions";
/// Why such an order is cancelled, for who reads it later.
pub const REASON: &str = "the user was deleted";
/// Orders that are cancelled in one transaction: short enough that nobody has to wait for it.
const CANCELLED_AT_ONCE: u64 = 50;
const ERASED_AT_ONCE: u64 = 500;

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
        let question = users::unsettled_due_in_ms(self.store.connection());
        let due = self.store.due(SIGNAL, question);
        let failed = |error| match error {
            // Told where it begins and ends.
            Error::Common(CommonError::Overloaded(_)) => {}
            error => {
                tracing::warn!(%error, "the orders of deleted users cannot be looked after, trying again");
            }
        };
        due.work(&stop, || self.settle_some(), failed).await;
    }

    /// One transaction's worth of work; the answer is whether there was some that nobody else is at.
    async fn settle_some(&self) -> Result<bool, Error> {
        let begun = self.store.begin_command().await;
        let transaction = begun.map_err(CommonError::from)?;
        let Some(user) = users::lock_unsettled(&transaction).await? else {
            return Ok(false);
        };
        let deletion = &user.deletion;
        let span = tracing::info_span!(
            "settle orders",
            otel.kind = "internal",
            correlation_id = deletion.correlation_id,
        );
        trace::continue_in(&span, &deletion.trace);
        settle_some_of(transaction, &user).instrument(span).await?;
        Ok(true)
    }
}

async fn settle_some_of(transaction: Transaction, user: &Unsettled) -> Result<(), Error> {
    let is_done =
        !cancel_some(&transaction, user).await? && !erase_some(&transaction, user).await?;
    if is_done {
        outbox::erase(&transaction, &user.user_id.to_string()).await?;
        users::settle_user(&transaction, user.user_id).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Whether there may be more.
async fn cancel_some(transaction: &Transaction, user: &Unsettled) -> Result<bool, Error> {
    let orders = settling::lock_open_orders(transaction, user.user_id, CANCELLED_AT_ONCE).await?;
    let may_be_more = !orders.is_empty();
    let now_ms = ::store::now_ms(transaction).await?;
    let cause = Cause {
        correlation_id: user.deletion.correlation_id.clone(),
        event_id: user.deletion.event_id,
    };
    for mut order in orders {
        let change = Change::Cancel {
            reason: REASON.to_owned(),
        };
        changes::apply(transaction, &mut order, change, now_ms, &cause).await?;
    }
    Ok(may_be_more)
}

/// Whether there may be more.
async fn erase_some(transaction: &Transaction, user: &Unsettled) -> Result<bool, Error> {
    let erased = settling::erase_reasons(transaction, user.user_id, REASON, ERASED_AT_ONCE).await?;
    Ok(erased > 0)
}
