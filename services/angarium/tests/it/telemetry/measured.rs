//! The exported metrics are those of `docs/telemetry.md`, by name and unit.

use std::collections::BTreeSet;

use testkit::Stack;

use super::journey::{self, documented};

/// Only where something goes wrong.
pub(crate) const OF_FAILURES: [&str; 4] = [
    "angarium.dead_letters.discarded",
    "angarium.grpc.closed_connections",
    "angarium.relay.unroutable",
    "angarium.telemetry.lost",
];

#[tokio::test]
async fn what_is_measured_is_what_is_written_down() {
    let collector = journey::take(Stack::Embedded, "01").await;
    let metrics = collector.metrics();
    let mut measured: BTreeSet<String> = metrics.iter().map(|metric| metric.name.clone()).collect();
    measured.extend(OF_FAILURES.map(str::to_owned));
    let documented: BTreeSet<String> = documented("Metrics").into_iter().collect();
    assert_eq!(measured, documented);
    for metric in &metrics {
        assert!(!metric.unit.is_empty(), "{metric:?}");
    }
    // Three services share the process.
    let resources = collector.resources();
    let resource = resources.first().unwrap();
    assert_eq!(resource.get("service.namespace").unwrap(), "angarium");
    for key in ["service.name", "service.version", "service.instance.id"] {
        assert!(resource.contains_key(key), "{resource:?}");
    }
}
