//! One signal on its way to the collector: how much waits, how much was lost, and whether the collector takes it.
//!
//! Guarantee: each span and log record that does not reach the collector is counted. A loss is one log line at its
//! beginning and one at its end.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::error::OTelSdkResult;

/// Losses in quick turn, as of a full queue, are one line in this time.
const QUIET: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Outlet {
    signal: &'static str,
    /// Neither exported nor lost yet.
    waiting: AtomicUsize,
    /// Since the last export, because too many waited.
    refused: AtomicU64,
    is_failing: AtomicBool,
    loss: Mutex<Loss>,
}

/// A loss that goes on.
#[derive(Debug, Default)]
struct Loss {
    lost: u64,
    reported: Option<Instant>,
    is_open: bool,
}

impl Outlet {
    pub(super) fn of(signal: &'static str) -> Self {
        Self {
            signal,
            waiting: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
            loss: Mutex::default(),
        }
    }

    pub(super) fn signal(&self) -> &'static str {
        self.signal
    }

    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether one more may wait. It is counted as waiting, or as lost.
    pub(super) fn admits(&self, most: usize) -> bool {
        let one_more = |waiting| (waiting < most).then_some(waiting + 1);
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        let admitted = self.waiting.fetch_update(set, get, one_more).is_ok();
        if !admitted {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// Runs an export of `items` that waited, and reports a loss. Not where the queue is full: that is inside a call,
    /// and inside the log itself.
    pub(super) async fn export(
        &self,
        items: usize,
        export: impl Future<Output = OTelSdkResult>,
    ) -> OTelSdkResult {
        let result = export.await;
        // Saturating: exports of what did not wait do not count.
        let fewer = |waiting: usize| Some(waiting.saturating_sub(items));
        let _ = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        self.is_failing.store(result.is_err(), Ordering::Relaxed);
        let mut lost = self.refused.swap(0, Ordering::Relaxed);
        if result.is_err() {
            lost = lost.saturating_add(u64::try_from(items).unwrap_or(u64::MAX));
        }
        if lost > 0 {
            self.count(lost);
        }
        self.report(lost, result.as_ref().err().map(ToString::to_string));
        result
    }

    fn count(&self, lost: u64) {
        global::meter("runtime")
            .u64_counter("angarium.telemetry.lost")
            .with_unit("{item}")
            .with_description(
                "Spans, log records and exports of metrics that did not reach the collector",
            )
            .build()
            .add(lost, &[KeyValue::new("angarium.signal", self.signal)]);
    }

    fn report(&self, lost: u64, error: Option<String>) {
        let signal = self.signal;
        let mut loss = self.loss.lock().unwrap_or_else(PoisonError::into_inner);
        loss.lost = loss.lost.saturating_add(lost);
        if lost == 0 {
            if std::mem::take(&mut loss.is_open) {
                let lost = std::mem::take(&mut loss.lost);
                tracing::info!(signal, lost, "the collector takes telemetry again");
            }
            return;
        }
        if loss.is_open || loss.reported.is_some_and(|at| at.elapsed() < QUIET) {
            return;
        }
        (loss.is_open, loss.reported) = (true, Some(Instant::now()));
        let cause = error.unwrap_or_else(|| "its queue is full".to_owned());
        tracing::warn!(
            signal,
            lost,
            cause,
            "telemetry is lost; no call is affected"
        );
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    fn exported(outlet: &Outlet, items: usize, result: OTelSdkResult) {
        let _ = outlet
            .export(items, async { result })
            .now_or_never()
            .unwrap();
    }

    #[test]
    fn only_so_many_wait_and_the_others_are_lost() {
        let outlet = Outlet::of("traces");
        let admitted: Vec<bool> = (0..4).map(|_| outlet.admits(2)).collect();
        assert_eq!(admitted, [true, true, false, false]);
        exported(&outlet, 2, Ok(()));
        assert_eq!(outlet.waiting(), 0);
        assert_eq!(outlet.loss.lock().unwrap().lost, 2);
        assert!(!outlet.is_failing());
        assert!(outlet.admits(2));
    }

    #[test]
    fn a_failed_export_is_lost_until_one_succeeds() {
        let outlet = Outlet::of("traces");
        for _ in 0..3 {
            outlet.admits(8);
        }
        exported(&outlet, 2, Err(OTelSdkError::Timeout(QUIET)));
        assert!(outlet.is_failing());
        assert_eq!(outlet.waiting(), 1);
        assert_eq!(outlet.loss.lock().unwrap().lost, 2);
        exported(&outlet, 1, Ok(()));
        assert!(!outlet.is_failing());
        let loss = outlet.loss.lock().unwrap();
        assert_eq!((loss.lost, loss.is_open), (0, false));
    }
}
