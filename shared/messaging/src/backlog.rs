//! Back-pressure: when events have waited in the outbox for too long, commands are refused until they have gone.
//!
//! What is taken on has to be published one day; past a point it is better to say so to the caller than to grow a table. The
//! budget is the age of the oldest pending event, because age is what an outage and an overload have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::retry::millis;
use crate::store::Store;

/// How often to look whether commands can be taken again.
const INTERVAL: Duration = Duration::from_secs(2);
/// Nobody raises it: events grow old by themselves.
const SIGNAL: &str = "backlog";

/// Whether a database's outbox is within its budget. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Backlog {
    over_budget: Arc<AtomicBool>,
}

/// The outbox holds events that are older than the budget allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "events wait to be published for longer than the budget allows; no more are taken on until they have gone"
)]
pub struct OverBudget;

impl Backlog {
    pub(crate) fn check(&self) -> Result<(), OverBudget> {
        if self.over_budget.load(Ordering::Relaxed) {
            Err(OverBudget)
        } else {
            Ok(())
        }
    }

    /// Follows the age of the oldest pending event, until `stop`. Asleep until it may have passed `budget`.
    pub(crate) async fn watch(&self, store: &Store, budget: Duration, stop: &CancellationToken) {
        let left = format!(
            "SELECT {} - ({{now}} - min(created_at_ms)) FROM outbox
             WHERE published_at_ms IS NULL AND held_until_ms IS NULL",
            millis(budget)
        );
        let mut due = store.due(SIGNAL, left);
        while !stop.is_cancelled() {
            let left = due.ask().await;
            if let Ok(left) = &left {
                self.set(left.is_some_and(|left| left.is_zero()), budget);
            }
            let pause = match left {
                Ok(left) if left != Some(Duration::ZERO) => left,
                // It is away for commands as well, which say so themselves.
                Ok(_) | Err(_) => Some(INTERVAL),
            };
            let _ = stop.run_until_cancelled(due.sleep(pause)).await;
        }
    }

    fn set(&self, over_budget: bool, budget: Duration) {
        let before = self.over_budget.swap(over_budget, Ordering::Relaxed);
        match (before, over_budget) {
            (false, true) => tracing::error!(
                ?budget,
                "events wait for longer than the budget: commands are refused"
            ),
            (true, false) => {
                tracing::info!("the outbox is within its budget again: commands are taken");
            }
            _ => (),
        }
    }
}
