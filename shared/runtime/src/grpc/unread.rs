//! The replies on one connection that wait for their client to read them.
//!
//! A client that reads no answer would keep slots as long as the connection lives. If a stream has nothing to send, the
//! client waits for the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Each with the start of its wait. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Unread {
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    since: HashMap<u64, Instant>,
}

pub(super) struct Reply {
    id: u64,
    unread: Unread,
}

impl Unread {
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
    pub(super) fn waits_for_client(&self) {
        self.unread.lock().since.insert(self.id, Instant::now());
    }

    pub(super) fn waits_for_us(&self) {
        self.unread.lock().since.remove(&self.id);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.waits_for_us();
    }
}
