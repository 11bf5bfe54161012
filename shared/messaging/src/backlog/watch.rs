//! Watches an outbox: the age of its oldest event, and the number of pending events.

use std::time::{Duration, Instant};

use sea_orm::DbErr;
use store::sql;
use tokio_util::sync::CancellationToken;

use super::{Backlog, Budget, OverBudget};
use crate::retry::millis;
use crate::store::Store;

const INTERVAL: Duration = Duration::from_secs(2);
const REST: u32 = 20;
/// Events age without a transaction.
const SIGNAL: &str = "backlog";

pub(crate) const OLDEST: &str = "SELECT min(created_at) FROM angarium_outbox
    WHERE held_until IS NULL AND unroutable_since IS NULL";

impl Backlog {
    pub(crate) async fn watch(&self, store: &Store, budget: Budget, stop: &CancellationToken) {
        let mut wakeup = store.wakeup(SIGNAL, question(budget));
        let mut count = Count::default();
        while !stop.is_cancelled() {
            let left = wakeup.ask().await;
            let pause = match left {
                Ok(Some(Duration::ZERO)) => {
                    // The database is unavailable for commands as well, which report it.
                    if let Ok(over) = is_over(store, budget, &mut count).await {
                        self.set(over, budget);
                    }
                    Some(INTERVAL)
                }
                Ok(left) => {
                    self.set(None, budget);
                    left
                }
                Err(_) => Some(INTERVAL),
            };
            let _ = stop.run_until_cancelled(wakeup.sleep(pause)).await;
        }
    }
}

/// It reads only the ends of indexes: the number of rows is at most the distance between the first and the last
/// sequence.
pub(crate) fn question(budget: Budget) -> String {
    format!(
        "SELECT CASE WHEN {} + {} > {} THEN 0 ELSE {} - ({{now}} - {{ms ({OLDEST})}}) END",
        at_most("held_until IS NULL AND set_aside_at IS NULL"),
        at_most("set_aside_at IS NOT NULL"),
        budget.pending,
        millis(budget.age)
    )
}

fn at_most(rows: &str) -> String {
    let end = |end| format!("(SELECT {end}(sequence) FROM angarium_outbox WHERE {rows})");
    format!("coalesce({} - {} + 1, 0)", end("max"), end("min"))
}

/// Reused for [`REST`] times its duration: the more rows, the rarer the counts.
#[derive(Default)]
struct Count {
    last: Option<(Instant, Duration, i64)>,
}

impl Count {
    async fn pending(&mut self, store: &Store, budget: Budget) -> Result<i64, DbErr> {
        if let Some((at, took, pending)) = self.last
            && at.elapsed() < took * REST
        {
            return Ok(pending);
        }
        let begun = Instant::now();
        let counted = sql::query_one(store.connection(), &counting(budget), []).await?;
        let pending = counted.map_or(Ok(0), |row| row.try_get::<i64>("", "pending"))?;
        let now = Instant::now();
        self.last = Some((now, now - begun, pending));
        Ok(pending)
    }
}

pub(crate) fn counting(budget: Budget) -> String {
    let limit = i64::from(budget.pending) + 1;
    let count = |rows| {
        format!(
            "(SELECT count(*) FROM (SELECT 1 FROM angarium_outbox WHERE {rows} LIMIT {limit}) AS counted)"
        )
    };
    format!(
        "SELECT {} + {} AS pending",
        count("held_until IS NULL AND set_aside_at IS NULL"),
        count("set_aside_at IS NOT NULL")
    )
}

async fn is_over(
    store: &Store,
    budget: Budget,
    count: &mut Count,
) -> Result<Option<OverBudget>, DbErr> {
    let age = format!("SELECT {{now}} - {{ms ({OLDEST})}} AS age_ms");
    let oldest = sql::query_one(store.connection(), &age, []).await?;
    let age_ms: Option<i64> = oldest.map_or(Ok(None), |row| row.try_get("", "age_ms"))?;
    if count.pending(store, budget).await? > i64::from(budget.pending) {
        return Ok(Some(OverBudget::Pending));
    }
    let is_old = age_ms.is_some_and(|age_ms| age_ms >= millis(budget.age));
    Ok(is_old.then_some(OverBudget::Age))
}
