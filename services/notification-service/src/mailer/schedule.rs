//! When a failed mail is retried, and when it is given up.

use std::time::Duration;

use messaging::Backoff;

use crate::notification::{Attempt, End};
use crate::sender::SendError;

/// The delays triple: all attempts together take about half a day.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(10),
    longest: LONGEST_DELAY,
    factor: 3,
};
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(4 * 3600);
/// Then a mail is given up.
const ATTEMPTS: i32 = 10;
/// An older failed mail is given up: yesterday's confirmation is of no use.
const LONGEST_AGE: Duration = Duration::from_secs(24 * 3600);

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

fn delay(attempt: i32, random: f64) -> Duration {
    BACKOFF.delay(u32::try_from(attempt).unwrap_or(0), random)
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
    fn all_attempts_together_take_about_half_a_day() {
        let all: Duration = (1..ATTEMPTS).map(|attempt| delay(attempt, 0.5)).sum();
        let hours = all.as_secs() / 3600;
        assert!((6..=12).contains(&hours), "{hours} h");
    }
}
