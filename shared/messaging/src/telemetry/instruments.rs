//! The engine's counters and histograms. Without a collector they do nothing.

use opentelemetry::global;
use opentelemetry::metrics::{Counter, Histogram};

/// In seconds, as the conventions recommend for durations.
const BOUNDARIES: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// Longer, because an event may wait through an outage.
const LAG_BOUNDARIES: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0,
];

#[derive(Clone)]
pub(crate) struct Instruments {
    pub(crate) operation: Histogram<f64>,
    pub(crate) process: Histogram<f64>,
    pub(crate) sent: Counter<u64>,
    pub(crate) consumed: Counter<u64>,
    /// From the commit of an event.
    pub(crate) lag: Histogram<f64>,
    pub(crate) unroutable: Counter<u64>,
    pub(crate) outcomes: Counter<u64>,
}

impl Instruments {
    pub(crate) fn new() -> Self {
        let meter = global::meter("messaging");
        let seconds = |name: &'static str, description: &'static str, boundaries: &[f64]| {
            meter
                .f64_histogram(name)
                .with_unit("s")
                .with_description(description)
                .with_boundaries(boundaries.to_vec())
                .build()
        };
        let count = |name: &'static str, unit: &'static str, description: &'static str| {
            meter
                .u64_counter(name)
                .with_unit(unit)
                .with_description(description)
                .build()
        };
        Self {
            operation: seconds(
                "messaging.client.operation.duration",
                "From publishing a message to its confirm",
                &BOUNDARIES,
            ),
            process: seconds(
                "messaging.process.duration",
                "From the start of handling a message to the commit of its effect",
                &BOUNDARIES,
            ),
            sent: count(
                "messaging.client.sent.messages",
                "{message}",
                "Published messages",
            ),
            consumed: count(
                "messaging.client.consumed.messages",
                "{message}",
                "Received messages",
            ),
            lag: seconds(
                "angarium.relay.lag",
                "From the commit of an event to its confirm",
                &LAG_BOUNDARIES,
            ),
            unroutable: count(
                "angarium.relay.unroutable",
                "{event}",
                "Publications that reached no queue, so that the event stays in the outbox",
            ),
            outcomes: count(
                "angarium.consumer.outcomes",
                "{event}",
                "Outcomes of handled events",
            ),
        }
    }
}
