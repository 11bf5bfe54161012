//! Waits for a fact: a test continues as soon as it holds, and fails late.

use std::fmt::Debug;
use std::time::Duration;

use crate::environment;

/// Short, because the pauses add to the duration of each test.
const PAUSE: Duration = Duration::from_millis(5);

/// Calls `look` until it returns `Ok`, and returns that value. `Err` is what was seen.
///
/// # Panics
/// After the patience of the test run (60 s, or `ANGARIUM_TEST_PATIENCE` in seconds), with `what` and what was seen
/// last.
pub async fn eventually<T, S: Debug>(what: &str, look: impl AsyncFnMut() -> Result<T, S>) -> T {
    within(environment::patience(), what, look).await
}
/// Calls `look` until its value equals `expected`.
///
/// # Panics
/// As [`eventually`].
pub async fn eventually_is<T: Debug + PartialEq>(
    what: &str,
    expected: T,
    mut look: impl AsyncFnMut() -> T,
) {
    eventually(what, async || {
        let seen = look().await;
        if seen == expected { Ok(()) } else { Err(seen) }
    })
    .await;
}

async fn within<T, S: Debug>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, S>,
) -> T {
    let mut last = None;
    let looking = async {
        loop {
            match look().await {
                Ok(found) => return found,
                Err(seen) => last = Some(seen),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let found = tokio::time::timeout(patience, looking).await;
    match (found, last) {
        (Ok(found), _) => found,
        (Err(_), Some(seen)) => panic!("not within {patience:?}: {what}; last seen: {seen:?}"),
        (Err(_), None) => panic!("not within {patience:?}: {what}; the look itself did not end"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_fact_is_returned_once_it_holds() {
        let mut looks = 0;
        let found = eventually("three looks", async || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err(looks) }
        });
        assert_eq!(found.await, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "a fourth mail; last seen: 3")]
    async fn what_never_comes_is_named_with_what_was_seen_last() {
        let look = async || Err::<(), _>(3);
        within(Duration::from_millis(20), "a fourth mail", look).await;
    }

    #[tokio::test]
    #[should_panic(expected = "the look itself did not end")]
    async fn a_look_that_hangs_ends_with_the_patience() {
        let look = async || std::future::pending::<Result<(), ()>>().await;
        within(Duration::from_millis(20), "anything", look).await;
    }
}
