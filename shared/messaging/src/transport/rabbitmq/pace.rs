//! Limits how often a service opens connections to its broker.
//!
//! Relay and consumer wait between their own attempts; this limits them together, so that they do not overload a
//! starting broker.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// All connections of a service, twice.
const AT_ONCE: u32 = 6;
/// After the burst: at most 30 in any minute.
const APART: Duration = Duration::from_millis(2500);

#[derive(Default)]
pub(super) struct Pace {
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) async fn wait(&self) {
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let (turn, after) = turn(*next, Instant::now());
            *next = Some(after);
            turn
        };
        tokio::time::sleep_until(turn).await;
    }
}

/// The new state is when the burst would be complete at one per interval.
fn turn(remembered: Option<Instant>, now: Instant) -> (Instant, Instant) {
    let one_by_one = remembered.map_or(now, |remembered| remembered.max(now));
    let ahead = APART * (AT_ONCE - 1);
    let turn = one_by_one.checked_sub(ahead).unwrap_or(now).max(now);
    (turn, one_by_one + APART)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(asks: &[u64]) -> Vec<u64> {
        let zero = Instant::now() + Duration::from_secs(3600);
        let mut remembered = None;
        let mut turns = Vec::new();
        for ask in asks {
            let (at, after) = turn(remembered, zero + Duration::from_millis(*ask));
            remembered = Some(after);
            turns.push(u64::try_from((at - zero).as_millis()).unwrap());
        }
        turns
    }

    #[test]
    fn a_service_that_starts_does_not_wait() {
        assert_eq!(turns(&[0, 10, 20, 30]), [0, 10, 20, 30]);
    }

    #[test]
    fn who_asks_all_the_time_goes_at_intervals() {
        assert_eq!(turns(&[0; 8]), [0, 0, 0, 0, 0, 0, 2500, 5000]);
        assert_eq!(turns(&[0, 0, 0, 0, 0, 0, 15_000, 15_000])[6..], [15_000; 2]);
    }

    proptest! {
        #[test]
        fn in_no_minute_are_there_more_than_thirty(mut asks in proptest::collection::vec(0_u64..240_000, 0..200)) {
            asks.sort_unstable();
            let turns = turns(&asks);
            for (index, first) in turns.iter().enumerate() {
                let minute = turns[index..].iter().filter(|turn| **turn < first + 60_000);
                prop_assert!(minute.count() <= 30);
            }
            for (ask, turn) in asks.iter().zip(&turns) {
                prop_assert!(turn >= ask);
            }
        }
    }
}
