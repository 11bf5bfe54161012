//! What a relay does, which decides how long its stop may take.

use std::sync::atomic::{AtomicU8, Ordering};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// No event is known to be pending.
    Rest,
    /// Events are read and not marked yet.
    Work,
    /// The database did not answer the last time.
    Loss,
}

const REST: u8 = 0;
const WORK: u8 = 1;
const LOSS: u8 = 2;

#[derive(Debug, Default)]
pub(super) struct Standing(AtomicU8);

impl Standing {
    pub(super) fn now(&self) -> At {
        match self.0.load(Ordering::Relaxed) {
            REST => At::Rest,
            WORK => At::Work,
            _ => At::Loss,
        }
    }

    pub(super) fn holds(&self, events: bool) {
        self.0
            .store(if events { WORK } else { REST }, Ordering::Relaxed);
    }

    pub(super) fn lost_the_database(&self) {
        self.0.store(LOSS, Ordering::Relaxed);
    }
}
