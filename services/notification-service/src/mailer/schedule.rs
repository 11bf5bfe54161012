//! When a mail that could not be sent is tried again, and when it is given up.

use std::time::Duration;

use crate::notification::{Attempt, End};
use crate::sender::SendError;

/// The delay after the first failure. It grows threefold, so that all attempts together take about half a day.
const FIRST_DELAY: Duration = Duration::from_secs(10);
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(4 * 3600);
/// After this many a mail is given up.
const ATTEMPTS: i32 = 10;
/// A mail that is older is given up when it fails, after any number of attempts: a confirmation of yesterday is of no use.
const LONGEST_AGE: Duration = Duration::from_secs(24 * 3600);

/// What becomes of the mail of an attempt with this outcome.
pub(super) fn end(attempt: &Attempt, outcome: Result<(), SendError>) -> End {
    let failure = match outcome {
        Ok(()) => return End::Sent,
        Err(SendError::Permanent(failure)) => return End::GivenUp(failure),
        Err(SendError::Temporary(failure)) => failure,
    };
    let age_ms = attempt
        .now_ms()
        .saturating_sub(attempt.letter.created_at_ms);
    if attempt.number >= ATTEMPTS || age_ms > runtime::millis(LONGEST_AGE) {
        return End::GivenUp(failure);
    }
    End::Postponed(failure, delay(attempt.number, fastrand::f64()))
}

/// How long to wait after attempt number `attempt` has failed. `random` (0 to 1) takes away up to a half, so that what failed
/// together does not come back together.
fn delay(attempt: i32, random: f64) -> Duration {
    let steps = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0);
    let full = FIRST_DELAY
        .saturating_mul(3_u32.saturating_pow(steps))
        .min(LONGEST_DELAY);
    full.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_threefold_up_to_the_longest() {
        let delays = [1, 2, 3, 4, 8, i32::MAX].map(|attempt| delay(attempt, 0.0).as_secs());
        assert_eq!(delays, [10, 30, 90, 270, 4 * 3600, 4 * 3600]);
    }

    #[test]
    fn chance_takes_away_at_most_a_half() {
        assert_eq!(delay(1, 1.0), FIRST_DELAY / 2);
    }

    #[test]
    fn all_attempts_together_take_about_half_a_day() {
        let all: Duration = (1..ATTEMPTS).map(|attempt| delay(attempt, 0.5)).sum();
        let hours = all.as_secs() / 3600;
        assert!((6..=12).contains(&hours), "{hours} h");
    }
}
