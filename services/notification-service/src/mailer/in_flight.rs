//! The mails that this process has in flight, from the lease to the end of the attempt.
//!
//! Without the database, a lease cannot be extended. Afterwards, a mail that was handed over meanwhile looks due; only
//! this set knows its outcome.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

/// Clones share one set.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashSet<Uuid>>>);

impl InFlight {
    /// Adds the mail `id` until the returned value is dropped.
    pub(super) fn enter(&self, id: Uuid) -> Flight {
        self.lock().insert(id);
        Flight {
            all: self.clone(),
            id,
        }
    }

    pub(super) fn ids(&self) -> HashSet<Uuid> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Flight {
    all: InFlight,
    id: Uuid,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}
