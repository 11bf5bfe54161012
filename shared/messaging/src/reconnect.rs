//! The pause between two attempts to reach an unavailable broker or database.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::retry::Backoff;
use crate::waits::{Wait, Waits};

const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_secs(5));
/// A connection that lasted this long counts as good.
const LASTING: Duration = Duration::from_secs(5);

/// Counts failures in a row and waits accordingly, with jitter, so that replicas do not retry in step.
#[derive(Default)]
pub(crate) struct Reconnect {
    failures: u32,
    connected: Option<Instant>,
    /// For a database: reports the wait to health.
    waits: Option<Waits>,
    wait: Option<Wait>,
}

/// A single failure may only be a lost race between transactions.
const FAILURES_BELIEVED: u32 = 2;

impl Reconnect {
    /// For a consumer's database. Health reports the wait.
    pub(crate) fn to(waits: &Waits) -> Self {
        Self {
            waits: Some(waits.clone()),
            ..Self::default()
        }
    }

    /// It worked: the next pause is short again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
        self.wait = None;
    }

    /// A connection was made. Only one that lasts makes the next pause short again: a connection that breaks
    /// immediately must not be repeated ten times a second.
    pub(crate) fn connected(&mut self) {
        self.connected = Some(Instant::now());
    }

    /// Waits before the next attempt, or until `stop`.
    pub(crate) async fn pause(&mut self, stop: &CancellationToken) {
        if self
            .connected
            .take()
            .is_some_and(|since| since.elapsed() >= LASTING)
        {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_BELIEVED && self.wait.is_none() {
            self.wait = self.waits.as_ref().map(Waits::begin);
        }
        let pause = BACKOFF.delay(self.failures, fastrand::f64());
        let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
}
