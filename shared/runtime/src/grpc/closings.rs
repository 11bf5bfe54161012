//! Connections that the server closes because of their clients' behaviour: counted by reason, logged once a minute. The
//! metric has no address: attackers must not make it grow.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};

/// Between log lines: a closed client usually returns immediately.
const WARNING_PAUSE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Too many frames that belong to no call.
    ControlFrames,
    /// Answers that the client does not read.
    Unread,
    /// The limit of connections is reached, in total or for this address.
    NoRoom,
}

/// Counts and logs. Clones share the pause.
#[derive(Clone)]
pub(super) struct Closings {
    counter: Counter<u64>,
    warned: Arc<Mutex<Option<Instant>>>,
}

impl Closings {
    pub(super) fn new() -> Self {
        let counter = global::meter("runtime")
            .u64_counter("angarium.grpc.closed_connections")
            .with_unit("{connection}")
            .with_description(
                "Connections that the server closed because of what their clients did",
            )
            .build();
        Self::counted_by(counter)
    }

    fn counted_by(counter: Counter<u64>) -> Self {
        Self {
            counter,
            warned: Arc::default(),
        }
    }

    pub(super) fn count(&self, reason: Reason) {
        let reason = KeyValue::new("angarium.close.reason", name(reason));
        self.counter.add(1, &[reason]);
    }

    pub(super) fn closed(&self, address: IpAddr, reason: Reason) {
        self.count(reason);
        let name = name(reason);
        if self.warns() {
            tracing::warn!(
                target: "security", event = "connection_closed", %address, reason = name,
                "a connection was closed because of what its client did; more of them are counted, and logged once a minute"
            );
        }
    }

    fn warns(&self) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_some_and(|warned| warned.elapsed() < WARNING_PAUSE) {
            return false;
        }
        *warned = Some(Instant::now());
        true
    }
}

fn name(reason: Reason) -> &'static str {
    match reason {
        Reason::ControlFrames => "control_frames",
        Reason::Unread => "unread",
        Reason::NoRoom => "no_room",
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};

    use super::*;

    #[test]
    fn each_is_counted_by_its_reason_and_no_address_is_kept() {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let counter = provider.meter("test").u64_counter("closed").build();
        let closings = Closings::counted_by(counter);
        for last in 0..100 {
            closings.closed(IpAddr::from([192, 0, 2, last]), Reason::ControlFrames);
        }
        closings.count(Reason::NoRoom);
        assert!(!closings.warns(), "the first was logged");

        provider.force_flush().unwrap();
        let exported = exporter.get_finished_metrics().unwrap();
        let mut scopes = exported.iter().flat_map(ResourceMetrics::scope_metrics);
        let metric = scopes.find_map(|scope| scope.metrics().next()).unwrap();
        let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else {
            panic!("no counter");
        };
        let mut counted: Vec<(String, u64)> = sum
            .data_points()
            .map(|point| {
                let reasons: Vec<String> = point
                    .attributes()
                    .map(|pair| format!("{}={}", pair.key, pair.value))
                    .collect();
                (reasons.join(" "), point.value())
            })
            .collect();
        counted.sort();
        let expected = [("control_frames", 100), ("no_room", 1)];
        let expected =
            expected.map(|(name, count)| (format!("angarium.close.reason={name}"), count));
        assert_eq!(counted, expected);
    }
}
