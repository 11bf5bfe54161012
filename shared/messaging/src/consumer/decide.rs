//! Decides what to do with an event, from the known facts. Pure, so that tests cover every case.
//!
//! Duplicates need no check: the event's inbox row is written with the decision, unless it exists.

use std::time::Duration;

use crate::retry::{Backoff, RetryPolicy};
use crate::subscription::HandlerError;

#[cfg(test)]
mod model;

/// Relative to the last handled version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The next one; or order does not matter for its kind.
    Now,
    Past,
    Later,
    /// No position, and not the first event: earlier ones are on their way, or this consumer joined late and they never
    /// come.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    Handle,
    Unknown(Duration),
    Wait,
    /// For a limited time, because the beginning may never come.
    WaitForTheBeginning,
    /// Seen before, unless the order began after it. Then its effect is missing, and an operator must know.
    Overtaken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Yes,
    /// How long it still waits for a process that does.
    No {
        left: Duration,
    },
}

pub(super) fn arrived(turn: Turn, known: Known) -> Arrival {
    match (turn, known) {
        (Turn::Past, _) => Arrival::Overtaken,
        (Turn::Later, _) => Arrival::Wait,
        (Turn::Unknown, _) => Arrival::WaitForTheBeginning,
        (Turn::Now, Known::Yes) => Arrival::Handle,
        (Turn::Now, Known::No { left }) => Arrival::Unknown(left),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    Handle,
    Begin,
    Unknown(Duration),
    Skip,
    Wait,
    Overtaken,
}

/// `is_lowest`: no earlier event of the aggregate is held. `wanted`: by an operator, even after its turn. `is_state`:
/// it holds the aggregate's state, so it needs no earlier event.
pub(super) fn released(
    turn: Turn,
    is_lowest: bool,
    wanted: bool,
    is_state: bool,
    known: Known,
) -> Release {
    match (turn, known) {
        (Turn::Past, _) if !wanted => Release::Overtaken,
        (Turn::Later, _) if !is_state || !is_lowest => Release::Wait,
        (Turn::Unknown, _) if !is_lowest => Release::Wait,
        (_, Known::No { left }) if left.is_zero() => Release::Skip,
        (_, Known::No { left }) => Release::Unknown(left),
        (Turn::Unknown | Turn::Later, Known::Yes) => Release::Begin,
        (Turn::Now | Turn::Past, Known::Yes) => Release::Handle,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passing {
    Now,
    In(Duration),
    AfterAnEarlierOne,
}

/// A discarded event may begin an order after `baseline_wait`, like any other event.
pub(super) fn discarded(
    turn: Turn,
    is_lowest: bool,
    here_for: Duration,
    baseline_wait: Duration,
) -> Passing {
    match turn {
        Turn::Now | Turn::Past => Passing::Now,
        Turn::Unknown if is_lowest => match baseline_wait.saturating_sub(here_for) {
            Duration::ZERO => Passing::Now,
            left => Passing::In(left),
        },
        Turn::Unknown | Turn::Later => Passing::AfterAnEarlierOne,
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AfterFailure {
    Defer(Duration),
    GiveUp(String),
}

/// At most as long as its attempts can have taken: a clock jump does not make an event old.
pub(super) fn failing_for(by_clock_ms: i64, attempts: u32, longest_each: Duration) -> Duration {
    let by_clock = Duration::from_millis(u64::try_from(by_clock_ms).unwrap_or(0));
    by_clock.min(longest_each.saturating_mul(attempts))
}

/// `attempt` counts from 1; `failing_for` is the time since the first failure.
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
        HandlerError::Retry(_) => {
            let backoff = Backoff::doubling(policy.first_delay, policy.longest_delay);
            AfterFailure::Defer(backoff.delay(attempt, random))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_event_is_handled_only_if_an_operator_says_so() {
        assert_eq!(arrived(Turn::Past, Known::Yes), Arrival::Overtaken);
        let late = |replayed| released(Turn::Past, false, replayed, false, Known::Yes);
        assert_eq!(
            (late(false), late(true)),
            (Release::Overtaken, Release::Handle)
        );
    }

    #[test]
    fn a_state_waits_for_held_events_and_not_for_a_gap() {
        let behind_a_gap =
            |is_lowest, is_state| released(Turn::Later, is_lowest, true, is_state, Known::Yes);
        assert_eq!(behind_a_gap(true, true), Release::Begin);
        assert_eq!(behind_a_gap(false, true), Release::Wait);
        assert_eq!(behind_a_gap(true, false), Release::Wait);
    }

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
    fn an_event_is_dead_after_its_last_attempt_not_before() {
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
    fn no_event_is_older_than_its_attempts_can_have_taken() {
        const DAY_MS: i64 = 24 * 3600 * 1_000;
        let age = |ms| failing_for(ms, 3, Duration::from_secs(60)).as_secs();
        assert_eq!([-5, 90_000, DAY_MS].map(age), [0, 90, 180]);
        assert_eq!(failing_for(DAY_MS, 0, Duration::MAX), Duration::ZERO);
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
}
