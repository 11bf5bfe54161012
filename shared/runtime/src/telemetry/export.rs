//! Traces, metrics and logs over OTLP, each only with a destination.
//!
//! The standard `OTEL_*` variables decide; the SDK reads most of them itself. An unreachable collector loses telemetry,
//! but never affects a call.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{self, BatchLogProcessor, SdkLoggerProvider};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{self, BatchSpanProcessor, SdkTracerProvider};

use super::error::TelemetryError;
use super::exporters::{Destination, Signal};
use super::outlet::Outlet;
use super::resource::resource;
use super::watched::Watched;

/// At the end of the process; the rest is lost.
const FLUSH: Duration = Duration::from_secs(1);
/// For a collector that did not take the last export.
const FLUSH_FAILING: Duration = Duration::from_millis(100);
/// By OpenTelemetry's specification.
const QUEUE: usize = 2048;

#[derive(Debug)]
pub(super) struct Providers {
    /// Always present: traces have ids even without an exporter.
    pub(super) tracer: SdkTracerProvider,
    pub(super) exports_traces: bool,
    pub(super) meter: Option<SdkMeterProvider>,
    pub(super) logger: Option<SdkLoggerProvider>,
    outlets: Outlets,
}

#[derive(Debug)]
struct Outlets {
    traces: Arc<Outlet>,
    metrics: Arc<Outlet>,
    logs: Arc<Outlet>,
}

impl Providers {
    /// Sends to `endpoint`, or to the endpoints of the signals. Connects on demand. Needs the context of a Tokio
    /// runtime.
    pub(super) fn open(
        service_name: &'static str,
        endpoint: Option<&str>,
    ) -> Result<Self, TelemetryError> {
        let resource = resource(service_name, variable)?;
        let to = |signal| Destination::find(signal, endpoint, variable);
        let outlets = Outlets {
            traces: Arc::new(Outlet::of("traces")),
            metrics: Arc::new(Outlet::of("metrics")),
            logs: Arc::new(Outlet::of("logs")),
        };

        let mut tracer = SdkTracerProvider::builder().with_resource(resource.clone());
        let traces = to(Signal::Traces)?;
        let exports_traces = traces.is_some();
        if let Some(to) = traces {
            let exporter = to.spans()?;
            let queue = size("OTEL_BSP_MAX_QUEUE_SIZE");
            let config = trace::BatchConfigBuilder::default().with_max_queue_size(queue);
            let batches = BatchSpanProcessor::builder(Watched::exporter(exporter, &outlets.traces))
                .with_batch_config(config.build())
                .build();
            tracer =
                tracer.with_span_processor(Watched::processor(batches, &outlets.traces, queue));
        }

        let meter = match to(Signal::Metrics)? {
            None => None,
            Some(to) => {
                let exporter = to.metrics()?;
                let reader = PeriodicReader::builder(Watched::exporter(exporter, &outlets.metrics));
                let meter = SdkMeterProvider::builder().with_reader(reader.build());
                Some(meter.with_resource(resource.clone()).build())
            }
        };

        let logger =
            match to(Signal::Logs)? {
                None => None,
                Some(to) => {
                    let exporter = to.logs()?;
                    let queue = size("OTEL_BLRP_MAX_QUEUE_SIZE");
                    let config = logs::BatchConfigBuilder::default().with_max_queue_size(queue);
                    let batches =
                        BatchLogProcessor::builder(Watched::exporter(exporter, &outlets.logs))
                            .with_batch_config(config.build())
                            .build();
                    let logger = SdkLoggerProvider::builder()
                        .with_log_processor(Watched::processor(batches, &outlets.logs, queue));
                    Some(logger.with_resource(resource).build())
                }
            };
        Ok(Self {
            tracer: tracer.build(),
            exports_traces,
            meter,
            logger,
            outlets,
        })
    }

    /// Takes a limited time, blocks, and needs the Tokio runtime.
    pub(super) fn shut_down(&self) {
        type Flush = Box<dyn FnOnce() -> OTelSdkResult + Send>;
        let tracer = self.tracer.clone();
        let mut flushes: Vec<(&Outlet, Flush)> = vec![(
            &self.outlets.traces,
            Box::new(move || tracer.shutdown_with_timeout(FLUSH)),
        )];
        if let Some(meter) = self.meter.clone() {
            let flush = Box::new(move || meter.shutdown_with_timeout(FLUSH));
            flushes.push((&self.outlets.metrics, flush));
        }
        if let Some(logger) = self.logger.clone() {
            let flush = Box::new(move || logger.shutdown_with_timeout(FLUSH));
            flushes.push((&self.outlets.logs, flush));
        }
        // In parallel, on detached threads: parts of the SDK ignore their limit.
        let (ended, ends) = channel();
        let begun = Instant::now();
        let mut open = Vec::new();
        for (outlet, flush) in flushes {
            let limit = if outlet.is_failing() {
                FLUSH_FAILING
            } else {
                FLUSH
            };
            open.push((outlet, limit));
            let (signal, ended) = (outlet.signal(), ended.clone());
            std::thread::spawn(move || ended.send((signal, flush())));
        }
        while let Some(limit) = open.iter().map(|(_, limit)| *limit).max() {
            let Ok((signal, result)) = ends.recv_timeout(limit.saturating_sub(begun.elapsed()))
            else {
                break;
            };
            open.retain(|(outlet, _)| outlet.signal() != signal);
            if let Err(error) = result {
                tracing::warn!(signal, %error, "the last telemetry was not sent");
            }
        }
        for (outlet, _) in open {
            let (signal, lost) = (outlet.signal(), outlet.waiting().max(1));
            tracing::warn!(signal, lost, "the last telemetry was not sent in time");
        }
    }
}

fn size(name: &str) -> usize {
    let given = variable(name).and_then(|given| given.parse().ok());
    given.filter(|size| *size > 0).unwrap_or(QUEUE)
}

/// By the specification, an empty variable is unset.
#[expect(
    clippy::disallowed_methods,
    reason = "the OTEL_* variables belong to the SDK, which reads the others itself"
)]
fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}
