//! How often a service asks its broker for a connection, whatever its reason: a broker that is away, one that ends each
//! connection just after it was made, a link that flaps.
//!
//! Relay and consumer wait by themselves between their attempts. This bounds them together, so that a broker that is coming
//! back is not kept from it by those who wait for it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many at once: all of a service's connections, and all of them once more.
const AT_ONCE: u32 = 6;
/// Then one each time that this has passed. In any minute that makes no more than 30.
const APART: Duration = Duration::from_millis(2500);

#[derive(Default)]
pub(super) struct Pace {
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// Waits until a connection may be asked for.
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

/// When whoever asks `now` may go, and what to remember for the next: when all that went would have gone one by one.
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

    /// When those who ask at these times may go, all in milliseconds.
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
        // After a pause it may be all at once again.
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
            // And nobody is kept for no reason: one at a time is never held up.
            for (ask, turn) in asks.iter().zip(&turns) {
                prop_assert!(turn >= ask);
            }
        }
    }
}
