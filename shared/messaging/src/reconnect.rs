//! The pause between two attempts to reach an unavailable broker or database.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::retry::Backoff;
use crate::waits::{Wait, Waits};

const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_secs(5));
/// Then it counts as good.
const LASTING: Duration = Duration::from_secs(5);

/// With jitter, so that replicas do not retry in step.
#[derive(Default)]
pub(crate) struct Reconnect {
    failures: u32,
    connected: Option<Instant>,
    waits: Option<Waits>,
    wait: Option<Wait>,
}

/// A single one may be a lost race between transactions.
const FAILURES_BELIEVED: u32 = 2;

impl Reconnect {
    pub(crate) fn to(waits: &Waits) -> Self {
        Self {
            waits: Some(waits.clone()),
            ..Self::default()
        }
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
        self.wait = None;
    }

    /// Only a connection that lasts makes the next pause short again: one that breaks immediately must not be repeated
    /// ten times a second.
    pub(crate) fn connected(&mut self) {
        self.connected = Some(Instant::now());
    }

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
