//! Whether a service's consumer waits for its database, for its health; this does not end the process.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

#[derive(Clone)]
pub(crate) struct Waits {
    shared: Arc<Shared>,
}

struct Shared {
    waiting: Mutex<usize>,
    none: watch::Sender<bool>,
}

pub(crate) struct Wait {
    shared: Arc<Shared>,
}

impl Waits {
    pub(crate) fn new() -> Self {
        let shared = Shared {
            waiting: Mutex::new(0),
            none: watch::Sender::new(true),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(crate) fn begin(&self) -> Wait {
        self.shared.change(|waiting| waiting + 1);
        Wait {
            shared: Arc::clone(&self.shared),
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.shared.none.subscribe()
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.shared.change(|waiting| waiting - 1);
    }
}

impl Shared {
    /// In one step, so that the last value is the current one.
    fn change(&self, count: impl FnOnce(usize) -> usize) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting = count(*waiting);
        let none = *waiting == 0;
        self.none
            .send_if_modified(|sent| std::mem::replace(sent, none) != none);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_waits_once_the_last_wait_has_ended() {
        let waits = Waits::new();
        let none = waits.watch();
        let (first, second) = (waits.begin(), waits.begin());
        drop(first);
        assert!(!*none.borrow());
        drop(second);
        assert!(*none.borrow());
    }
}
