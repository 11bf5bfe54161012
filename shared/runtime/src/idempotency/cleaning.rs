//! Deletes stored answers after their retention.
//!
//! Guarantee: if the clock jumps ahead while this runs, no answer is deleted too early. The clock is trusted again
//! after it has run without a jump for the whole retention, by the process's monotonic clock.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};
use store::{Rounds, sql};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::RETENTION;
use crate::clock::millis;

/// Few, so that no call waits for it.
const BATCH: u32 = 500;
const INTERVAL: Duration = Duration::from_secs(600);
/// How far a trusted clock may gain between two rounds, and how far ahead an answer's time may lie.
const STEP: Duration = Duration::from_secs(60);

/// Every ten minutes, until `stop`, deletes answers older than [`RETENTION`].
pub async fn clean(db: impl ConnectionTrait, stop: CancellationToken) {
    let mut watched = Watched::default();
    let mut rounds = Rounds::at_once(INTERVAL);
    while rounds.next(&stop).await {
        let done = round(&db, &mut watched, &stop).await;
        rounds.report("old answers were not deleted", done);
    }
}

async fn round(
    db: &impl ConnectionTrait,
    watched: &mut Watched,
    stop: &CancellationToken,
) -> Result<(), DbErr> {
    let (now, now_ms) = (Instant::now(), store::now_ms(db).await?);
    if !watched.believes(now, now_ms) {
        tracing::warn!(
            "the clock of the database has jumped ahead: no answers are deleted for now"
        );
        return Ok(());
    }
    clean_up(db, stop).await
}

/// Compares the database's clock with the process's.
#[derive(Default)]
struct Watched {
    last: Option<(Instant, i64)>,
    jumped: Option<Instant>,
}

impl Watched {
    fn believes(&mut self, now: Instant, now_ms: i64) -> bool {
        if let Some((last, last_ms)) = self.last.replace((now, now_ms)) {
            let gained_ms = now_ms - last_ms - millis(now - last);
            if gained_ms > millis(STEP) {
                self.jumped = Some(now);
            } else if gained_ms < -millis(STEP) {
                self.jumped = None;
            }
        }
        self.jumped.is_none_or(|jumped| now - jumped > RETENTION)
    }
}

/// One round, in small batches. An answer from the future counts as written now.
///
/// # Errors
/// If a statement fails.
pub async fn clean_up(db: &impl ConnectionTrait, stop: &CancellationToken) -> Result<(), DbErr> {
    let bringing_back = format!(
        "UPDATE angarium_idempotency SET created_at = {{time}} WHERE (caller, method, request_id) IN (
             SELECT caller, method, request_id FROM angarium_idempotency
             WHERE created_at > {{time + $1}} ORDER BY created_at LIMIT {BATCH})"
    );
    while !stop.is_cancelled() {
        let brought_back = sql::execute(db, &bringing_back, [millis(STEP).into()]).await?;
        if brought_back < u64::from(BATCH) {
            break;
        }
    }
    let delete = format!(
        "DELETE FROM angarium_idempotency WHERE (caller, method, request_id) IN (
             SELECT caller, method, request_id FROM angarium_idempotency
             WHERE created_at < {{time - $1}} ORDER BY created_at LIMIT {BATCH})"
    );
    while !stop.is_cancelled() {
        let deleted = sql::execute(db, &delete, [millis(RETENTION).into()]).await?;
        if deleted < u64::from(BATCH) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;
    const DAY_MS: i64 = 24 * 3600 * 1_000;

    /// Which of these readings, a minute apart, are trusted.
    fn believed<const N: usize>(shown_ms: [i64; N]) -> [bool; N] {
        let (mut watched, begun, mut minutes) = (Watched::default(), Instant::now(), 0);
        shown_ms.map(|shown_ms| {
            minutes += 1;
            watched.believes(begun + minutes * Duration::from_secs(60), shown_ms)
        })
    }

    #[test]
    fn a_clock_that_jumps_ahead_is_not_believed_until_it_is_back() {
        let at = |minute: i64| minute * MINUTE_MS;
        let shown = [at(1), at(2), at(3) + DAY_MS, at(4) + DAY_MS, at(5), at(6)];
        assert_eq!(believed(shown), [true, true, false, false, true, true]);
    }

    #[test]
    fn a_clock_that_stays_ahead_is_believed_after_a_day() {
        let (mut watched, begun) = (Watched::default(), Instant::now());
        assert!(watched.believes(begun, 0));
        assert!(!watched.believes(begun, DAY_MS));
        let later = begun + RETENTION + STEP;
        assert!(watched.believes(later, DAY_MS + millis(RETENTION + STEP)));
    }

    #[test]
    fn a_clock_that_is_set_back_deletes_less_and_is_believed() {
        assert_eq!(believed([DAY_MS, 0, MINUTE_MS]), [true, true, true]);
    }
}
