//! Back-pressure: when events have waited in the outbox for too long, or too many wait, commands are refused until they have gone.
//!
//! Every accepted event must be published some day; past a point it is better to refuse the caller than to grow a table. The
//! budget limits the age of the oldest event that the broker has not taken, because outage and overload both raise this age. An
//! event that no queue takes does not count, and neither do the events behind it: refusing commands would not help, and it
//! stops its own aggregate only. An event that the broker refuses does count, because a full queue is back-pressure. The limit
//! on the number counts all pending events.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::retry::millis;
use crate::store::Store;
use store::sql;

/// How often to check whether commands can be taken again.
const INTERVAL: Duration = Duration::from_secs(2);
/// No transaction raises this signal: events grow old by themselves.
const SIGNAL: &str = "backlog";

/// The creation of the oldest event that counts against the budget.
pub(crate) const OLDEST: &str = "SELECT min(created_at_ms) FROM outbox
    WHERE published_at_ms IS NULL AND held_until_ms IS NULL AND unroutable_since_ms IS NULL";

/// Whether a database's outbox is within its budget. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Backlog {
    over: Arc<Mutex<Option<OverBudget>>>,
}

/// The limits of an outbox. Beyond them commands are refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// The age of the oldest event.
    pub(crate) age: Duration,
    /// The number of all pending events.
    pub(crate) pending: u32,
}

/// Why no commands are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverBudget {
    /// The oldest event is older than the budget allows.
    #[error(
        "events wait to be published for longer than OUTBOX_BUDGET allows; commands are taken again when they have gone"
    )]
    Age,
    /// More events wait than the budget allows.
    #[error(
        "more events wait to be published than OUTBOX_MAX_PENDING allows; commands are taken again when there are fewer"
    )]
    Pending,
}

impl OverBudget {
    /// For clients: a reason in upper case.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Age => "OUTBOX_OVER_BUDGET",
            Self::Pending => "OUTBOX_FULL",
        }
    }
}

impl Backlog {
    pub(crate) fn check(&self) -> Result<(), OverBudget> {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        over.map_or(Ok(()), Err)
    }

    /// Follows the outbox until `stop`. Asleep until it may have passed `budget`, except for the look that all workers share.
    pub(crate) async fn watch(&self, store: &Store, budget: Budget, stop: &CancellationToken) {
        let mut due = store.due(SIGNAL, question(budget));
        while !stop.is_cancelled() {
            let left = due.ask().await;
            let pause = match left {
                Ok(Some(Duration::ZERO)) => {
                    // It is away for commands as well, which say so themselves.
                    if let Ok(over) = is_over(store, budget).await {
                        self.set(Some(over), budget);
                    }
                    Some(INTERVAL)
                }
                Ok(left) => {
                    self.set(None, budget);
                    left
                }
                Err(_) => Some(INTERVAL),
            };
            let _ = stop.run_until_cancelled(due.sleep(pause)).await;
        }
    }

    fn set(&self, now: Option<OverBudget>, budget: Budget) {
        let before = {
            let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *over, now)
        };
        match (before, now) {
            (before, Some(now)) if before != Some(now) => tracing::error!(
                budget = ?budget.age, max_pending = budget.pending, reason = now.reason(),
                "the outbox is over its budget: commands are refused"
            ),
            (Some(_), None) => {
                tracing::info!("the outbox is within its budget again: commands are taken");
            }
            _ => (),
        }
    }
}

/// Asks how long until commands may have to be refused.
pub(crate) fn question(budget: Budget) -> String {
    format!(
        "SELECT CASE WHEN ({}) > {} THEN 0 ELSE {} - ({{now}} - ({OLDEST})) END",
        pending(budget),
        budget.pending,
        millis(budget.age)
    )
}

/// How many events wait, counted no further than it matters.
pub(crate) fn pending(budget: Budget) -> String {
    format!(
        "SELECT count(*) FROM (SELECT 1 FROM outbox WHERE published_at_ms IS NULL AND held_until_ms IS NULL LIMIT {}) AS counted",
        i64::from(budget.pending) + 1
    )
}

/// Which of the two limits is exceeded, if any.
async fn is_over(store: &Store, budget: Budget) -> Result<OverBudget, DbErr> {
    let counting = format!("SELECT ({}) AS pending", pending(budget));
    let counted = sql::query_one(store.connection(), &counting, []).await?;
    let pending = counted.map_or(Ok(0), |row| row.try_get::<i64>("", "pending"))?;
    Ok(if pending > i64::from(budget.pending) {
        OverBudget::Pending
    } else {
        OverBudget::Age
    })
}
