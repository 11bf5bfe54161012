//! Back-pressure: commands are refused while too many events wait in the outbox, or the oldest has waited too long.
//!
//! The age counts only events that the broker has not taken: an outage and an overload both raise it. An unroutable
//! event and those behind it do not count, because they block only their own aggregate. A refused event counts, because
//! a full queue is back-pressure.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) mod watch;

/// Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Backlog {
    over: Arc<Mutex<Option<OverBudget>>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) age: Duration,
    pub(crate) pending: u32,
}

/// Why commands are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverBudget {
    /// The oldest event is older than the budget allows.
    #[error(
        "events wait to be published for longer than OUTBOX_BUDGET; commands are accepted again after they are published"
    )]
    Age,
    /// More events wait than the budget allows.
    #[error(
        "more events wait to be published than OUTBOX_MAX_PENDING; commands are accepted again when there are fewer"
    )]
    Pending,
}

impl OverBudget {
    /// The reason for clients, in upper case.
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

    pub(super) fn set(&self, now: Option<OverBudget>, budget: Budget) {
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
                tracing::info!("the outbox is within its budget again: commands are accepted");
            }
            _ => (),
        }
    }
}
