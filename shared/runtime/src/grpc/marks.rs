//! Extensions by which the layers of a call inform each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::slots::Slot;

/// In a response: the service is not at fault, even if the code is a failure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoFault;

/// In a response: the slot of its call.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    _slot: Arc<Slot>,
}

impl Admitted {
    pub(super) fn with(slot: Slot) -> Self {
        Self {
            _slot: Arc::new(slot),
        }
    }
}

/// In a response: the longest time it may last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Longest(pub(super) Duration);

/// In a request: whether its client still has to complete it.
#[derive(Clone, Debug, Default)]
pub(super) struct Incomplete(Arc<AtomicBool>);

impl Incomplete {
    pub(super) fn set(&self, is_waited_for: bool) {
        self.0.store(is_waited_for, Ordering::Relaxed);
    }

    pub(super) fn is_waited_for(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
