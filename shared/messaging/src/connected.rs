//! Whether a service has its connections to the broker: for its health, which must not say so of what it does not know.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// All connections of a service. Connected is who has every one of them.
pub(crate) struct Connections {
    shared: Arc<Shared>,
}

struct Shared {
    missing: Mutex<usize>,
    all: watch::Sender<bool>,
}

/// One of the connections, whether it is there or not.
#[derive(Clone)]
pub(crate) struct Link {
    shared: Arc<Shared>,
}

/// A connection that is there, until this is dropped.
pub(crate) struct Up {
    shared: Arc<Shared>,
}

impl Connections {
    pub(crate) fn new() -> Self {
        let shared = Shared {
            missing: Mutex::new(0),
            all: watch::Sender::new(true),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// One more that has to be there. It is not yet.
    pub(crate) fn link(&self) -> Link {
        self.shared.change(|missing| missing + 1);
        Link {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Whether all of them are there.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.shared.all.subscribe()
    }
}

impl Link {
    /// The connection is made.
    pub(crate) fn up(&self) -> Up {
        self.shared.change(|missing| missing - 1);
        Up {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.shared.change(|missing| missing + 1);
    }
}

impl Shared {
    /// Counts and tells in one step, so that what is told last is what holds.
    fn change(&self, count: impl FnOnce(usize) -> usize) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        *missing = count(*missing);
        let all = *missing == 0;
        self.all
            .send_if_modified(|told| std::mem::replace(told, all) != all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connected_is_who_has_every_connection() {
        let connections = Connections::new();
        let (publish, consume) = (connections.link(), connections.link());
        let told = connections.watch();
        let publishing = publish.up();
        assert!(!*told.borrow());
        let consuming = consume.up();
        assert!(*told.borrow());
        drop(publishing);
        assert!(!*told.borrow());
        let _again = publish.up();
        assert!(*told.borrow());
        drop(consuming);
        assert!(!*told.borrow());
    }
}
