//! The replies of one connection that wait for their client to read them.
//!
//! A client can open calls and take no answer: each would keep its place among the calls in flight for as long as the
//! connection lives. A stream that has nothing to tell is another thing: there it is our turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Which replies wait, and since when. Clones share it.
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
    /// A reply begins: the client is to read it.
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

    /// Returns once a reply has waited for longer than `patience`.
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

    /// The client has read all there is.
    pub(super) fn waits_for_us(&self) {
        self.unread.lock().since.remove(&self.id);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.waits_for_us();
    }
}
