//! The shutdown of a process: first soft, then hard, without losing a task.
//!
//! Everything that runs gets a [`Shutdown`] as a parameter, so several services can share a process. If a task of
//! [`Tasks`] ends unasked, the process fails: a service without its relay or consumer only looks alive.

mod signals;
mod tasks;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use tasks::Tasks;

/// `soft` requests the shutdown, `hard` cuts off what is left.
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// Start nothing new, finish work in progress.
    pub soft: CancellationToken,
    /// The grace period is over, or a second request came.
    pub hard: CancellationToken,
    grace: Duration,
    triggered: Arc<AtomicBool>,
}

impl Shutdown {
    /// `grace` is the time between soft and hard.
    pub fn new(grace: Duration) -> Self {
        Self {
            soft: CancellationToken::new(),
            hard: CancellationToken::new(),
            grace,
            triggered: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Soft now, hard after the grace period. A repetition changes nothing. Outside a Tokio runtime, hard follows
    /// immediately.
    #[expect(
        clippy::disallowed_methods,
        reason = "the timer must outlive every tracked task, because it cuts them off"
    )]
    pub fn trigger(&self) {
        if self.triggered.swap(true, Ordering::SeqCst) {
            return;
        }
        self.soft.cancel();
        if tokio::runtime::Handle::try_current().is_err() {
            self.hard.cancel();
            return;
        }
        let (hard, grace) = (self.hard.clone(), self.grace);
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(grace) => hard.cancel(),
                () = hard.cancelled() => {}
            }
        });
    }

    /// Soft and hard immediately.
    pub fn trigger_hard(&self) {
        self.triggered.store(true, Ordering::SeqCst);
        self.soft.cancel();
        self.hard.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn soft_comes_at_once_and_hard_after_the_grace() {
        let shutdown = Shutdown::new(Duration::from_millis(20));
        let seen_elsewhere = shutdown.clone();
        let begin = std::time::Instant::now();
        shutdown.trigger();
        assert!(seen_elsewhere.soft.is_cancelled());
        assert!(!seen_elsewhere.hard.is_cancelled());
        seen_elsewhere.hard.cancelled().await;
        assert!(begin.elapsed() >= Duration::from_millis(20));
    }

    #[tokio::test]
    async fn asking_twice_is_as_asking_once_and_asking_hard_is_immediate() {
        let shutdown = Shutdown::new(Duration::from_secs(600));
        shutdown.trigger();
        shutdown.trigger();
        assert!(!shutdown.hard.is_cancelled());
        shutdown.trigger_hard();
        assert!(shutdown.hard.is_cancelled());
    }

    #[test]
    fn outside_a_runtime_ending_is_hard_and_not_a_panic() {
        let shutdown = Shutdown::new(Duration::from_secs(600));
        shutdown.trigger();
        assert!(shutdown.hard.is_cancelled());
    }
}
