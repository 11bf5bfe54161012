//! The replies on one connection that wait for their client to read them.
//!
//! A client could start calls and read no answer: each would keep its slot as long as the connection lives. A stream
//! without anything to send is different: there the client waits for the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The waiting replies, each with the start of its wait. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Unread {
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    since: HashMap<u64, Instant>,
}

/// One reply, from its beginning to its end.
pub(super) struct Reply {
    id: u64,
    unread: Unread,
}

impl Unread {
    /// Registers a reply for the client to read.
    pub(super) fn reply(&self) -> Reply {
        let mut waiting = self.lock();
        waiting.next += 1;
        let id = waiting.next;
        waiting.since.insert(id, Instant::now());
        drop(waiting);
        Reply {
            id,
            unread: self.clone(),
        }
    }

    /// Returns when a reply has waited for longer than `patience`.
    pub(super) async fn overdue(&self, patience: Duration) {
        loop {
            tokio::time::sleep(patience / 4).await;
            let is_overdue = |since: &Instant| since.elapsed() > patience;
            if self.lock().since.values().any(is_overdue) {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reply {
    /// There is something for the client to read.
    pub(super) fn waits_for_client(&self) {
        self.unread.lock().since.insert(self.id, Instant::now());
    }

    /// The client has read everything.
    pub(super) fn waits_for_us(&self) {
        self.unread.lock().since.remove(&self.id);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.waits_for_us();
    }
}
