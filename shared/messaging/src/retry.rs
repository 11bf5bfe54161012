//! How long to wait before the next attempt. Pure: the caller brings the random number.

use std::time::Duration;

/// When a failed delivery is tried again, and when it is given up on.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// The delay before the second attempt; it doubles from there.
    pub first_delay: Duration,
    /// No delay is longer.
    pub longest_delay: Duration,
    /// After this many attempts the event is dead.
    pub attempts: u32,
    /// An event that has failed for this long is dead, whatever its attempts.
    pub longest_age: Duration,
}

impl Default for RetryPolicy {
    /// 12 attempts, 1 s to 10 min apart: about an hour, in which most outages of a third party end.
    fn default() -> Self {
        Self {
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_secs(600),
            attempts: 12,
            longest_age: Duration::from_secs(24 * 3600),
        }
    }
}

/// The delay after the `attempt`th failure (from 1): doubling from `first` up to `longest`, of which `random` (0 to 1) takes
/// away up to a half, so that what failed together does not come back together.
pub(crate) fn delay(first: Duration, longest: Duration, attempt: u32, random: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(32);
    let full = first
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(longest);
    full.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
}

/// Milliseconds, as the tables have them.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let seconds = |attempt| {
            delay(
                Duration::from_secs(1),
                Duration::from_secs(10),
                attempt,
                0.0,
            )
            .as_secs()
        };
        assert_eq!([1, 2, 3, 4, 5, 99].map(seconds), [1, 2, 4, 8, 10, 10]);
    }

    proptest! {
        #[test]
        fn a_delay_is_between_half_and_the_whole(attempt in 1_u32.., random in 0.0_f64..=1.0) {
            let (first, longest) = (Duration::from_millis(100), Duration::from_secs(60));
            let delay = delay(first, longest, attempt, random);
            prop_assert!(delay >= first / 2 && delay <= longest);
        }
    }
}
