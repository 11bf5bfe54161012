//! Polls the order service's view of some users: a version that goes backwards was handled out of order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contracts::order::v1::GetUserViewRequest;
use tokio::task::JoinSet;

use crate::Caller;
use crate::caller::authorized;

/// The pause between two polls.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Views {
    seen: Arc<Mutex<BTreeMap<String, Seen>>>,
    _watching: JoinSet<()>,
}

/// The versions of one user.
#[derive(Default)]
struct Seen {
    highest: i64,
    inversions: usize,
}

impl Views {
    pub(super) fn watch(caller: &Caller, admin: String, users: Vec<String>) -> Self {
        let seen: Arc<Mutex<BTreeMap<String, Seen>>> = Arc::default();
        let mut watching = JoinSet::new();
        let (noting, mut orders) = (Arc::clone(&seen), caller.orders.clone());
        watching.spawn_local(async move {
            loop {
                for user_id in &users {
                    let request = GetUserViewRequest {
                        user_id: user_id.clone(),
                    };
                    let answer = orders.get_user_view(authorized(&admin, request)).await;
                    let view = answer.ok().and_then(|answer| answer.into_inner().user_view);
                    if let Some(view) = view {
                        let mut seen = noting.lock().unwrap_or_else(PoisonError::into_inner);
                        seen.entry(user_id.clone())
                            .or_default()
                            .note(view.user_version);
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self {
            seen,
            _watching: watching,
        }
    }

    /// How often the user's version went backwards so far.
    pub(super) fn inversions(&self, user_id: &str) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(user_id).map_or(0, |seen| seen.inversions)
    }
}

impl Seen {
    fn note(&mut self, version: i64) {
        self.inversions += usize::from(version < self.highest);
        self.highest = self.highest.max(version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_goes_backwards_is_an_inversion() {
        let mut seen = Seen::default();
        for version in [1, 2, 2, 3, 2, 4] {
            seen.note(version);
        }
        assert_eq!((seen.highest, seen.inversions), (4, 1));
    }
}
