//! Back-pressure: when events have waited in the outbox for too long, commands are refused until they have gone.
//!
//! What is taken on has to be published one day; past a point it is better to say so to the caller than to grow a table. The
//! budget is the age of the oldest pending event, because age is what an outage and an overload have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::retry::millis;
use crate::sql;
use crate::store::Store;

/// How often the oldest pending event is looked at, while there is one.
const INTERVAL: Duration = Duration::from_secs(2);
/// How often to look without a reason to: for what another replica has left behind.
const POLL: Duration = Duration::from_secs(60);

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

    /// Follows the age of the oldest pending event, until `stop`. Asleep while nothing is committed and nothing pends.
    pub(crate) async fn watch(&self, store: &Store, budget: Duration, stop: &CancellationToken) {
        let committed = store.signal(SIGNAL);
        while !stop.is_cancelled() {
            let pending = match oldest_ms(store).await {
                Ok(age) => {
                    self.set(age.is_some_and(|age| age > millis(budget)), budget);
                    age.is_some()
                }
                // It is away for commands as well, which say so themselves.
                Err(_) => true,
            };
            let _ = stop
                .run_until_cancelled(async {
                    if !pending {
                        let _ = tokio::time::timeout(POLL, committed.notified()).await;
                    }
                    tokio::time::sleep(INTERVAL).await;
                })
                .await;
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

/// Raised beside [`outbox::SIGNAL`], which the relay alone waits for.
pub(crate) const SIGNAL: &str = "backlog";

async fn oldest_ms(store: &Store) -> Result<Option<i64>, DbErr> {
    let row = sql::query_one(
        store.connection(),
        "SELECT {now} - min(created_at_ms) AS age_ms FROM outbox
         WHERE published_at_ms IS NULL AND held_until_ms IS NULL",
        [],
    )
    .await?;
    row.map_or(Ok(None), |row| row.try_get("", "age_ms"))
}
