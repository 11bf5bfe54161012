//! The telemetry of one event: a span in its own trace, a measurement, a log line.
//!
//! The outcome is reported after the commit: a rolled-back batch leaves spans without one.

use std::time::{Duration, Instant};

use event::{Message, partition_key};
use opentelemetry::KeyValue;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::outcome::Outcome;
use super::pipeline::Pipeline;
use super::step::Item;
use crate::inbox::NotDone;
use crate::telemetry::{self, DESTINATION, OUTCOME};
use crate::trace;

const OPERATION: (&str, &str) = ("process", "process");

pub(super) struct Processing<'a> {
    span: Span,
    pipeline: &'a Pipeline,
    message: &'a Message,
    destination: String,
    begun: Instant,
}

impl<'a> Processing<'a> {
    pub(super) fn begin(pipeline: &'a Pipeline, queue: &str, item: Item<'a>) -> Self {
        let (message, event_id, attempt) = (item.message, item.event_id(), item.attempt());
        let aggregate_id = partition_key(message);
        let correlation_id = message.correlation_id(&event_id);
        // Level ERROR, so that a quiet log filter does not remove the ids from the remaining lines.
        let span = tracing::error_span!(
            parent: None,
            "process",
            otel.name = format!("process {queue}"),
            otel.kind = "consumer",
            correlation_id,
            event.id = event_id,
            aggregate.id = aggregate_id,
            attempt,
        );
        let known = pipeline.knows(message);
        let destination = telemetry::source(message, queue, known);
        pipeline
            .system
            .describe(&span, message, OPERATION, &destination);
        trace::continue_in(&span, &message.trace());
        Self {
            span,
            pipeline,
            message,
            destination,
            begun: Instant::now(),
        }
    }

    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(super) fn end(self, outcome: &Outcome) {
        let (name, error) = named(outcome);
        let took = self.begun.elapsed();
        let attributes = self
            .pipeline
            .system
            .attributes(OPERATION, &self.destination, error);
        let instruments = &self.pipeline.instruments;
        instruments.process.record(took.as_secs_f64(), &attributes);
        let destination = KeyValue::new(DESTINATION, self.destination.clone());
        instruments
            .outcomes
            .add(1, &[destination, KeyValue::new(OUTCOME, name)]);
        self.span.set_attribute(OUTCOME, name);
        if let Some(error) = error {
            telemetry::fail(&self.span, error);
        }
        self.span.in_scope(|| self.log(outcome, name, took));
    }

    fn log(&self, outcome: &Outcome, name: &str, took: Duration) {
        let event_type = &self.message.event_type;
        let duration_ms = took.as_micros() as f64 / 1000.0;
        match outcome {
            Outcome::Deferred(delay, cause) => {
                tracing::warn!(
                    event.r#type = event_type,
                    duration_ms,
                    ?delay,
                    cause,
                    "deferred"
                );
            }
            Outcome::NotDone(NotDone::Dead, cause) => {
                tracing::error!(event.r#type = event_type, duration_ms, cause, "dead");
            }
            Outcome::Baseline => tracing::warn!(
                event.r#type = event_type,
                duration_ms,
                "baseline: no earlier event of this aggregate has arrived, so its order begins here"
            ),
            Outcome::Unknown(left) => tracing::warn!(
                event.r#type = event_type,
                ?left,
                "unknown: this build does not know the type; the event waits for one that does"
            ),
            Outcome::NotDone(NotDone::Skipped, _) => tracing::warn!(
                event.r#type = event_type,
                "skipped: no build has known the type in time"
            ),
            _ => tracing::info!(event.r#type = event_type, duration_ms, "{name}"),
        }
    }
}

pub(super) fn count_delivery(pipeline: &Pipeline, message: &Message) {
    let queue = pipeline.consumer();
    let source = telemetry::source(message, queue, pipeline.knows(message));
    let attributes = [
        KeyValue::new(telemetry::SYSTEM, pipeline.system.name),
        KeyValue::new(telemetry::OPERATION_NAME, OPERATION.0),
        KeyValue::new(DESTINATION, source),
    ];
    pipeline.instruments.consumed.add(1, &attributes);
}

pub(super) fn note_queue_wait(span: &Span, message: &Message, came_ms: i64) {
    let wait_ms = message.published_ms().map(|published| came_ms - published);
    // The clocks of two databases may differ by more than the wait.
    let wait = wait_ms.and_then(|wait_ms| u64::try_from(wait_ms).ok());
    if let Some(wait) = wait {
        let wait = Duration::from_millis(wait).as_secs_f64();
        span.set_attribute("angarium.queue.wait", wait);
    }
}

fn named(outcome: &Outcome) -> (&'static str, Option<&'static str>) {
    match outcome {
        Outcome::Handled => ("handled", None),
        Outcome::Baseline => ("baseline", None),
        Outcome::Late => ("late", None),
        Outcome::Duplicate => ("duplicate", None),
        Outcome::Unknown(_) => ("unknown", None),
        Outcome::Deferred(..) => ("deferred", Some("deferred")),
        Outcome::NotDone(NotDone::Dead, _) => ("dead", Some("dead")),
        Outcome::NotDone(state, _) => (state.as_str(), None),
    }
}
