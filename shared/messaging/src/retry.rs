//! The delay before the next attempt. Pure: the caller provides the random number.

use std::time::Duration;

/// When a failed event is retried, and when it becomes a dead letter.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Before the second attempt; then it doubles.
    pub first_delay: Duration,
    /// The longest delay.
    pub longest_delay: Duration,
    /// Then the event is dead.
    pub attempts: u32,
    /// An event that fails for this long is dead, after any number of attempts.
    pub longest_age: Duration,
}

impl Default for RetryPolicy {
    /// 12 attempts, 1 s to 10 min apart: about an hour, longer than most outages of a third party.
    fn default() -> Self {
        Self {
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_secs(600),
            attempts: 12,
            longest_age: Duration::from_secs(24 * 3600),
        }
    }
}

/// Growing delays.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// The longest delay.
    pub longest: Duration,
    /// Per failure.
    pub factor: u32,
}

impl Backoff {
    /// The delay doubles.
    pub const fn doubling(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            factor: 2,
        }
    }

    /// The delay after the `attempt`th failure (from 1). `random` (0 to 1) shortens it by up to a half, so that events
    /// that failed together are not retried together.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let backoff = messaging::Backoff::doubling(Duration::from_secs(1), Duration::from_secs(60));
    /// assert_eq!(backoff.delay(3, 0.0), Duration::from_secs(4));
    /// assert_eq!(backoff.delay(3, 1.0), Duration::from_secs(2));
    /// ```
    pub fn delay(self, attempt: u32, random: f64) -> Duration {
        let steps = attempt.saturating_sub(1);
        let full = self
            .first
            .saturating_mul(self.factor.saturating_pow(steps))
            .min(self.longest);
        full.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
    }
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn delays_grow_up_to_the_longest() {
        let seconds = |factor| {
            let backoff = Backoff {
                factor,
                ..Backoff::doubling(Duration::from_secs(1), Duration::from_secs(10))
            };
            [1, 2, 3, 4, 5, u32::MAX].map(|attempt| backoff.delay(attempt, 0.0).as_secs())
        };
        assert_eq!(seconds(2), [1, 2, 4, 8, 10, 10]);
        assert_eq!(seconds(3), [1, 3, 9, 10, 10, 10]);
    }

    proptest! {
        #[test]
        fn a_delay_is_between_half_and_the_whole(attempt in 1_u32.., random in 0.0_f64..=1.0) {
            let (first, longest) = (Duration::from_millis(100), Duration::from_secs(60));
            let delay = Backoff::doubling(first, longest).delay(attempt, random);
            prop_assert!(delay >= first / 2 && delay <= longest);
        }
    }
}
