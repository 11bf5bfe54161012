//! The pause between two attempts to reach a broker or a database that is away.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::retry::delay;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// A connection that was there for this long was a good one.
const LASTING: Duration = Duration::from_secs(5);

/// Counts failures in a row and waits accordingly, with jitter, so that replicas do not come back in step.
#[derive(Default)]
pub(crate) struct Reconnect {
    failures: u32,
    connected: Option<Instant>,
}

impl Reconnect {
    /// It worked: the next failure waits briefly again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// A connection was made. Only one that lasts makes the next failure wait briefly again: what breaks just after each
    /// connect must not go round ten times a second.
    pub(crate) fn connected(&mut self) {
        self.connected = Some(Instant::now());
    }

    /// Waits before the next attempt, or until told to stop.
    pub(crate) async fn pause(&mut self, stop: &CancellationToken) {
        if self
            .connected
            .take()
            .is_some_and(|since| since.elapsed() >= LASTING)
        {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let pause = delay(FIRST, LONGEST, self.failures, fastrand::f64());
        let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
}
