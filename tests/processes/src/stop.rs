//! Requests to end early: a signal, or a failure in the other half of the work.
//!
//! The handler only records the signal. Every wait checks it and returns in order, so every resource is released by its owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::{fmt, thread};

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

#[derive(Clone, Default)]
pub struct Stop {
    cancelled: Arc<AtomicBool>,
    signals: Arc<AtomicUsize>,
    first: Arc<AtomicU8>,
}

impl Stop {
    /// From now on, termination signals do not end this process directly.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::default();
        let seen = stop.clone();
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])
            .context("cannot install the signal handlers")?;
        thread::spawn(move || {
            for signal in signals.forever() {
                seen.note(u8::try_from(signal).unwrap_or_default());
            }
        });
        Ok(stop)
    }

    /// Stops the other half of the work, because this half has failed.
    pub fn request(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    pub fn requested(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst) || self.signal().is_some()
    }

    /// A second signal: waits must end immediately.
    pub fn insisted(&self) -> bool {
        self.signals.load(Ordering::SeqCst) > 1
    }

    pub fn signal(&self) -> Option<u8> {
        let first = self.first.load(Ordering::SeqCst);
        (first != 0).then_some(first)
    }

    /// # Errors
    /// [`Stopped`] once a stop is requested.
    pub fn check(&self) -> Result<()> {
        if self.requested() {
            return Err(Stopped.into());
        }
        Ok(())
    }

    fn note(&self, signal: u8) {
        let _ = self
            .first
            .compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
        self.signals.fetch_add(1, Ordering::SeqCst);
    }
}

/// The work ended because of a request: not an error of its own.
#[derive(Debug)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Stopped {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_decides_the_exit_and_the_second_insists() {
        let stop = Stop::default();
        assert!(stop.check().is_ok());

        stop.note(15);
        assert!(stop.check().is_err());
        assert!(!stop.insisted());

        stop.note(2);
        assert_eq!(stop.signal(), Some(15));
        assert!(stop.insisted());
    }

    #[test]
    fn a_failure_elsewhere_stops_without_a_signal() {
        let stop = Stop::default();
        stop.request();
        assert!(stop.requested());
        assert_eq!(stop.signal(), None);
    }
}
