//! Back-pressure: commands are refused while too many events wait in the outbox, or the oldest one has waited too long.
//!
//! Every accepted event must be published; past a limit it is better to refuse callers than to grow a table. The budget
//! limits the age of the oldest event that the broker has not taken, because both an outage and an overload raise it.
//! An unroutable event does not count, nor do the events behind it: refusing commands would not help, and it blocks
//! only its own aggregate. A refused event counts, because a full queue is back-pressure. The limit of the number
//! counts all pending events.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) mod watch;

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
