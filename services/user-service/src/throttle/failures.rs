//! The failed logins of an account, and the wait before the next one. Pure.

use super::bucket::{STEP_MS, Wait, wait};

/// From this failure on, logins wait.
const FREE_FAILURES: i64 = 5;
const FIRST_WAIT_MS: i64 = 1_000;
const LONGEST_WAIT_MS: i64 = 15 * 60 * 1_000;
/// Older failures are cleared.
const MEMORY_MS: i64 = 24 * 3600 * 1_000;

/// Logins that have failed or are running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    pub failures: i64,
    pub blocked_until_ms: i64,
    pub last_at_ms: i64,
}

impl Attempts {
    /// As a failure until it succeeds: otherwise many at once would count as one.
    pub fn begin(&mut self, now_ms: i64) -> Result<(), Wait> {
        // A longer wait was written while the clock was ahead.
        let longest_ms = wait_after_ms(self.failures) + STEP_MS;
        let left_ms = self.blocked_until_ms - now_ms;
        if 0 < left_ms && left_ms <= longest_ms {
            return Err(wait(left_ms));
        }
        if self.last_at_ms + MEMORY_MS < now_ms {
            self.failures = 0;
        }
        self.failures += 1;
        self.last_at_ms = now_ms;
        if self.failures >= FREE_FAILURES {
            self.blocked_until_ms = now_ms + wait_after_ms(self.failures);
        }
        Ok(())
    }

    /// An attempt that was not checked; `begun` is the counter after its start.
    pub fn take_back(&mut self, begun: Self) {
        self.failures = (self.failures - 1).max(0);
        // Another attempt may have started a wait since.
        if self.blocked_until_ms == begun.blocked_until_ms {
            self.blocked_until_ms = 0;
        }
    }
}

fn wait_after_ms(failures: i64) -> i64 {
    if failures < FREE_FAILURES {
        return 0;
    }
    // After ten doublings, the wait has its maximum.
    let doublings = (failures - FREE_FAILURES).min(10);
    (FIRST_WAIT_MS << doublings).min(LONGEST_WAIT_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn from_the_fifth_failure_the_wait_doubles_up_to_15_minutes() {
        let (mut attempts, mut now) = (Attempts::default(), NOW);
        for _ in 0..5 {
            attempts.begin(now).unwrap();
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            let Wait(left) = attempts.begin(now).unwrap_err();
            waits.push(left.as_secs());
            now += i64::try_from(left.as_millis()).unwrap();
            attempts.begin(now).unwrap();
        }
        let expected = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900];
        assert_eq!(waits, expected);
        // A refusal does not count, and a day later all failures are cleared.
        let failures = attempts.failures;
        assert!(attempts.begin(now).is_err());
        assert_eq!(attempts.failures, failures);
        attempts.begin(now + MEMORY_MS + 1).unwrap();
        assert_eq!(attempts.failures, 1);
    }

    #[test]
    fn a_clock_that_was_ahead_blocks_no_longer_than_failures_do() {
        let ahead = NOW + MEMORY_MS;
        let mut attempts = Attempts::default();
        for _ in 0..5 {
            attempts.begin(ahead).unwrap();
        }
        attempts.begin(NOW).unwrap();
        assert_eq!(attempts.failures, 6, "no failure is cleared");
        assert_eq!(attempts.begin(NOW), Err(wait(2_000)));
        attempts.begin(NOW + 2_000).unwrap();
    }

    #[test]
    fn what_is_taken_back_leaves_what_others_have_counted() {
        let mut attempts = Attempts::default();
        for _ in 0..4 {
            attempts.begin(NOW).unwrap();
        }
        attempts.begin(NOW).unwrap();
        let begun = attempts;
        assert!(attempts.begin(NOW).is_err());
        attempts.take_back(begun);
        assert_eq!((attempts.failures, attempts.blocked_until_ms), (4, 0));

        attempts.begin(NOW).unwrap();
        let first = attempts;
        attempts.begin(NOW + 1_000).unwrap();
        attempts.take_back(first);
        assert_eq!(attempts.failures, 5);
        assert!(
            attempts.begin(NOW + 1_001).is_err(),
            "the wait of the second"
        );
    }
}
