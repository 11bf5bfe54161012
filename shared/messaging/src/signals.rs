//! How a commit wakes the workers of its process: by the name of the written work.
//!
//! A signal is a hint: the next poll finds what it missed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Signals {
    by_name: Arc<Mutex<BTreeMap<&'static str, Arc<Notify>>>>,
}

impl Signals {
    pub(crate) fn of(&self, name: &'static str) -> Arc<Notify> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(by_name.entry(name).or_default())
    }
}
