//! What to do with an event, decided from what is known of it. Pure, so that every case can be tried.

use std::time::Duration;

use crate::retry::{RetryPolicy, delay};
use crate::subscription::HandlerError;

/// What an event's version means, given the last one that was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is the next.
    Now,
    /// It was handled before.
    Past,
    /// Others come before it.
    Later,
    /// Nothing is known of this aggregate, and it did not begin here: either its beginning is still on its way, or this
    /// consumer joined late and it never comes.
    Unknown,
}

pub(super) fn turn(position: Option<i64>, version: i64) -> Turn {
    match position {
        None if version == 1 => Turn::Now,
        None => Turn::Unknown,
        Some(position) if version <= position => Turn::Past,
        Some(position) if version == position + 1 => Turn::Now,
        Some(_) => Turn::Later,
    }
}

/// What becomes of an event whose handler has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AfterFailure {
    /// Try again after this long.
    Defer(Duration),
    /// It is dead, for this reason.
    GiveUp(String),
}

/// `attempt` is the number of the attempt that has failed, from 1; `failing_for` the time since the first failure.
pub(super) fn after_failure(
    error: &HandlerError,
    attempt: u32,
    failing_for: Duration,
    policy: &RetryPolicy,
    random: f64,
) -> AfterFailure {
    match error {
        HandlerError::Reject(cause) => AfterFailure::GiveUp(cause.to_string()),
        HandlerError::Retry(cause) if attempt >= policy.attempts => {
            AfterFailure::GiveUp(format!("{cause} (given up after {attempt} attempts)"))
        }
        HandlerError::Retry(cause) if failing_for >= policy.longest_age => AfterFailure::GiveUp(
            format!("{cause} (given up after failing for {failing_for:?})"),
        ),
        HandlerError::Retry(_) => AfterFailure::Defer(delay(
            policy.first_delay,
            policy.longest_delay,
            attempt,
            random,
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_rejected_event_is_given_up_on_at_once() {
        let after = after_failure(
            &HandlerError::reject("bad"),
            1,
            Duration::ZERO,
            &RetryPolicy::default(),
            0.0,
        );
        assert_eq!(after, AfterFailure::GiveUp("bad".to_owned()));
    }

    #[test]
    fn an_event_is_given_up_on_after_its_last_attempt_and_not_before() {
        let policy = RetryPolicy {
            attempts: 3,
            ..RetryPolicy::default()
        };
        let after = |attempt| {
            after_failure(
                &HandlerError::retry("down"),
                attempt,
                Duration::ZERO,
                &policy,
                0.0,
            )
        };
        assert!(matches!(after(2), AfterFailure::Defer(_)));
        assert_eq!(
            after(3),
            AfterFailure::GiveUp("down (given up after 3 attempts)".to_owned())
        );
    }

    #[test]
    fn an_event_is_given_up_on_when_it_has_failed_for_too_long() {
        let policy = RetryPolicy {
            longest_age: Duration::from_secs(60),
            ..RetryPolicy::default()
        };
        let after = |age| {
            after_failure(
                &HandlerError::retry("down"),
                1,
                Duration::from_secs(age),
                &policy,
                0.0,
            )
        };
        assert!(matches!(after(59), AfterFailure::Defer(_)));
        assert!(matches!(after(60), AfterFailure::GiveUp(_)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn in_whatever_order_versions_arrive_each_is_handled_once_and_in_order(
            mut arrivals in proptest::collection::vec(1_i64..12, 0..60),
        ) {
            // Every version arrives at least once, some again: what waits is looked at again after each that is handled.
            arrivals.extend(1..12);
            let (mut position, mut waiting, mut handled) = (None, Vec::new(), Vec::new());
            for version in arrivals {
                waiting.push(version);
                while let Some(index) = waiting.iter().position(|version| turn(position, *version) == Turn::Now) {
                    let version = waiting.swap_remove(index);
                    handled.push(version);
                    position = Some(version);
                }
                waiting.retain(|version| turn(position, *version) != Turn::Past);
            }
            prop_assert_eq!(handled, (1..12).collect::<Vec<_>>());
            prop_assert!(waiting.is_empty());
        }
    }
}
