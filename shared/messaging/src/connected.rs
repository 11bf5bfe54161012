//! Whether a service has all its connections to the broker, for its health.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

pub(crate) struct Connections {
    shared: Arc<Shared>,
}

struct Shared {
    missing: Mutex<usize>,
    all: watch::Sender<bool>,
}

#[derive(Clone)]
pub(crate) struct Link {
    shared: Arc<Shared>,
}

/// Marks a connection as up, until it is dropped.
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

    /// Not up yet.
    pub(crate) fn link(&self) -> Link {
        self.shared.change(|missing| missing + 1);
        Link {
            shared: Arc::clone(&self.shared),
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.shared.all.subscribe()
    }
}

impl Link {
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
    /// Counts and sends in one step, so that the last value is the current one.
    fn change(&self, count: impl FnOnce(usize) -> usize) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        *missing = count(*missing);
        let all = *missing == 0;
        self.all
            .send_if_modified(|state| std::mem::replace(state, all) != all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connected_is_who_has_every_connection() {
        let connections = Connections::new();
        let (publish, consume) = (connections.link(), connections.link());
        let state = connections.watch();
        let publishing = publish.up();
        assert!(!*state.borrow());
        let consuming = consume.up();
        assert!(*state.borrow());
        drop(publishing);
        assert!(!*state.borrow());
        let _again = publish.up();
        assert!(*state.borrow());
        drop(consuming);
        assert!(!*state.borrow());
    }
}
