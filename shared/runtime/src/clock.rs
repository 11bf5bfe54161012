//! Times as the tables store them: Unix milliseconds.
//!
//! Domain code takes a [`Clock`]; lints forbid reading the system's time elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The duration in milliseconds.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The source of the current time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> i64;
}

/// The time of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the system's time"
    )]
    fn now_ms(&self) -> i64 {
        unix_ms(SystemTime::now())
    }
}

/// A clock that a test moves; its clones move together.
#[derive(Clone, Debug)]
pub struct TestClock {
    now_ms: Arc<AtomicI64>,
}

impl TestClock {
    /// Shows `now_ms`, in Unix milliseconds.
    pub fn at(now_ms: i64) -> Self {
        Self {
            now_ms: Arc::new(AtomicI64::new(now_ms)),
        }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.now_ms.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// Sets the clock, also backwards.
    pub fn set(&self, now_ms: i64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }
}

/// A clock before 1970 is wrong, but no reason to stop: its times are negative.
fn unix_ms(time: SystemTime) -> i64 {
    let saturated = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => saturated(after),
        Err(before) => -saturated(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_clock_moves_only_by_hand_and_its_clones_follow() {
        let clock = TestClock::at(1_000);
        let clone = clock.clone();
        clock.advance(Duration::from_secs(2));
        assert_eq!(clone.now_ms(), 3_000);
        clone.set(5);
        assert_eq!(clock.now_ms(), 5);
    }

    #[test]
    fn a_time_before_1970_is_negative() {
        assert_eq!(unix_ms(UNIX_EPOCH - Duration::from_millis(7)), -7);
        assert_eq!(unix_ms(UNIX_EPOCH + Duration::from_millis(7)), 7);
    }

    #[test]
    fn the_system_clock_is_past_2020() {
        assert!(SystemClock.now_ms() > 1_577_836_800_000);
    }
}
