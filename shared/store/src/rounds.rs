//! Rounds of work that is not urgent, such as deleting old rows.
//!
//! Replicas do not run in step, and a round that fails is tried again with the next one.

use std::time::Duration;

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

/// When rounds run: the first one after a while or at once, and then one each interval, give or take a half.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// The pause before the first round.
    pub first: Duration,
    /// The pause between two rounds, on average.
    pub every: Duration,
}

impl Rounds {
    /// The first round comes at once.
    pub fn at_once(every: Duration) -> Self {
        Self {
            first: Duration::ZERO,
            every,
        }
    }

    /// The first round comes after a pause, as all others do.
    pub fn after_a_pause(every: Duration) -> Self {
        Self {
            first: every,
            every,
        }
    }

    /// Calls `round` until `stop`. A round that fails is logged: `what` says what was not done.
    pub async fn run(
        self,
        stop: &CancellationToken,
        what: &str,
        mut round: impl AsyncFnMut() -> Result<(), DbErr>,
    ) {
        let mut pause = self.first;
        loop {
            let pausing = tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64()));
            if stop.run_until_cancelled(pausing).await.is_none() {
                return;
            }
            if let Err(error) = round().await {
                tracing::warn!(%error, "{what}; the next round tries again");
            }
            pause = self.every;
        }
    }
}
