//! Rounds of work that is not urgent, such as deleting old rows.
//!
//! Replicas do not run in step. The next round repeats a failed one.

use std::time::Duration;

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

/// One round per interval, ± 50 %.
#[derive(Debug)]
pub struct Rounds {
    next: Duration,
    every: Duration,
}

impl Rounds {
    /// The first round starts immediately.
    pub fn at_once(every: Duration) -> Self {
        Self {
            next: Duration::ZERO,
            every,
        }
    }

    /// The first round starts after a pause.
    pub fn after_a_pause(every: Duration) -> Self {
        Self { next: every, every }
    }

    /// `false` if `stop` comes first.
    pub async fn next(&mut self, stop: &CancellationToken) -> bool {
        let pause = std::mem::replace(&mut self.next, self.every);
        let pausing = tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64()));
        stop.run_until_cancelled(pausing).await.is_some()
    }

    /// `what` names what was not done.
    pub fn report(&self, what: &str, done: Result<(), DbErr>) {
        if let Err(error) = done {
            tracing::warn!(%error, "{what}; the next round tries again");
        }
    }
}
