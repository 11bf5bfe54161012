//! Checks a dependency every second, and accepts a failure only after two in a row: one slow answer under load must not
//! remove a service from the balancer.

use std::future::Future;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Health;
use crate::lifecycle::Shutdown;

const PERIOD: Duration = Duration::from_secs(1);
/// For a check without its own time-out.
const PATIENCE: Duration = Duration::from_millis(1500);
const FAILURES_BELIEVED: u32 = 2;

impl Health {
    /// Runs `check` every second, and sets the services' health from it, until `shutdown.soft`. For
    /// [`crate::Tasks::spawn`]. A lost dependency shows within 5 s, its return within 2 s.
    ///
    /// # Errors
    /// None; the type is that of a task.
    pub async fn watch<C, F>(self, check: C, shutdown: Shutdown) -> anyhow::Result<()>
    where
        C: Fn() -> F + Send,
        F: Future<Output = bool> + Send,
    {
        run(&self, check, &shutdown.soft).await;
        self.drain();
        Ok(())
    }
}

/// A loss shows after at most period + two missing answers + period: 5 s.
async fn run<C, F>(health: &Health, check: C, until: &CancellationToken)
where
    C: Fn() -> F + Send,
    F: Future<Output = bool> + Send,
{
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut verdict = Verdict::default();
    loop {
        tokio::select! {
            biased;
            () = until.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let answer = tokio::select! {
            biased;
            () = until.cancelled() => return,
            answer = tokio::time::timeout(PATIENCE, check()) => answer.unwrap_or(false),
        };
        match verdict.after(answer) {
            Some(true) => {
                tracing::info!("serving: the dependencies are available");
                health.set_services(true);
            }
            Some(false) => {
                tracing::error!("not serving: a dependency is unavailable or unusable");
                health.set_services(false);
            }
            None => {}
        }
    }
}

/// `failures`: in a row.
#[derive(Default)]
struct Verdict {
    serving: bool,
    failures: u32,
}

impl Verdict {
    /// The new state, if the answer changes it.
    fn after(&mut self, answer: bool) -> Option<bool> {
        self.failures = if answer { 0 } else { self.failures + 1 };
        let serving = answer || (self.serving && self.failures < FAILURES_BELIEVED);
        let changed = serving != self.serving;
        self.serving = serving;
        changed.then_some(serving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_failures_change_the_state_and_one_success_restores_it() {
        let mut verdict = Verdict::default();
        assert_eq!(verdict.after(false), None);
        assert_eq!(verdict.after(true), Some(true));
        assert_eq!(verdict.after(true), None);
        assert_eq!(verdict.after(false), None);
        assert_eq!(verdict.after(true), None);
        assert_eq!(verdict.after(false), None);
        assert_eq!(verdict.after(false), Some(false));
        assert_eq!(verdict.after(false), None);
        assert_eq!(verdict.after(true), Some(true));
    }
}
