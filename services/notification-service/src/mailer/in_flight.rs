//! The mails that this process has in hand, from the moment they are taken up until their attempt has ended.
//!
//! A lease cannot be extended while the database is away. When it is back, a mail that was handed over meanwhile looks due,
//! and only this set still knows that its outcome is about to be recorded.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

/// One set, which all its clones share.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashSet<Uuid>>>);

impl InFlight {
    /// The mail `id` is in flight until what this returns is dropped, however its attempt ends.
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

/// One mail that is in flight.
pub(super) struct Flight {
    all: InFlight,
    id: Uuid,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}
