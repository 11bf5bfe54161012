//! Rounds of work that is not urgent, such as deleting old rows.
//!
//! Replicas do not run in step, and a round that fails is tried again with the next one.

use std::time::Duration;

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

/// When rounds come: the first one at once or after a pause, and then one each interval, give or take a half.
#[derive(Debug)]
pub struct Rounds {
    next: Duration,
    every: Duration,
}

impl Rounds {
    /// The first round comes at once.
    pub fn at_once(every: Duration) -> Self {
        Self {
            next: Duration::ZERO,
            every,
        }
    }

    /// The first round comes after a pause, as all others do.
    pub fn after_a_pause(every: Duration) -> Self {
        Self { next: every, every }
    }

    /// Waits for the next round. `false` if `stop` comes first.
    pub async fn next(&mut self, stop: &CancellationToken) -> bool {
        let pause = std::mem::replace(&mut self.next, self.every);
        let pausing = tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64()));
        stop.run_until_cancelled(pausing).await.is_some()
    }

    /// Logs a round that failed: `what` says what was not done.
    pub fn report(&self, what: &str, done: Result<(), DbErr>) {
        if let Err(error) = done {
            tracing::warn!(%error, "{what}; the next round tries again");
        }
    }
}
