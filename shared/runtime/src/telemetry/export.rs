//! Exports traces, metrics and logs over OTLP/gRPC, each only if it has an endpoint.
//!
//! The standard `OTEL_*` variables decide; the SDK reads most of them itself: batches, intervals, samplers, headers,
//! compression, certificates. An unreachable collector loses telemetry, but never affects a call.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, SpanExporter, WithExportConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::error::TelemetryError;

/// The limit at the end of the process: after that, unsent telemetry is lost.
const FLUSH: Duration = Duration::from_secs(3);

/// One kind of telemetry, as the variables name it.
#[derive(Clone, Copy)]
enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }
}

/// The endpoint of a signal.
#[derive(Debug, PartialEq, Eq)]
enum Destination {
    /// The SDK reads the signal's own variable.
    OfSignal,
    Endpoint(String),
}

/// The providers of a process.
#[derive(Debug)]
pub(super) struct Providers {
    /// Always present: traces have ids even without an exporter.
    pub(super) tracer: SdkTracerProvider,
    pub(super) exports_traces: bool,
    pub(super) meter: Option<SdkMeterProvider>,
    pub(super) logger: Option<SdkLoggerProvider>,
}

impl Providers {
    /// Sends to `endpoint`, or to the endpoints in the signals' variables. Connects on demand. Needs the context of a
    /// Tokio runtime.
    pub(super) fn open(
        service_name: &'static str,
        endpoint: Option<&str>,
    ) -> Result<Self, TelemetryError> {
        let resource = resource(service_name);
        let to = |signal| destination(signal, endpoint, variable);
        let failed = |signal: Signal| {
            move |source: ExporterBuildError| TelemetryError::Exporter {
                signal: signal.name(),
                source,
            }
        };

        let mut tracer = SdkTracerProvider::builder().with_resource(resource.clone());
        let traces = to(Signal::Traces)?;
        let exports_traces = traces.is_some();
        if let Some(to) = traces {
            let exporter = SpanExporter::builder().with_tonic();
            let exporter = match to {
                Destination::OfSignal => exporter.build(),
                Destination::Endpoint(endpoint) => exporter.with_endpoint(endpoint).build(),
            };
            tracer = tracer.with_batch_exporter(exporter.map_err(failed(Signal::Traces))?);
        }

        let meter = match to(Signal::Metrics)? {
            None => None,
            Some(to) => {
                let exporter = MetricExporter::builder().with_tonic();
                let exporter = match to {
                    Destination::OfSignal => exporter.build(),
                    Destination::Endpoint(endpoint) => exporter.with_endpoint(endpoint).build(),
                };
                let reader = PeriodicReader::builder(exporter.map_err(failed(Signal::Metrics))?);
                let meter = SdkMeterProvider::builder().with_reader(reader.build());
                Some(meter.with_resource(resource.clone()).build())
            }
        };

        let logger = match to(Signal::Logs)? {
            None => None,
            Some(to) => {
                let exporter = LogExporter::builder().with_tonic();
                let exporter = match to {
                    Destination::OfSignal => exporter.build(),
                    Destination::Endpoint(endpoint) => exporter.with_endpoint(endpoint).build(),
                };
                let exporter = exporter.map_err(failed(Signal::Logs))?;
                let logger = SdkLoggerProvider::builder().with_batch_exporter(exporter);
                Some(logger.with_resource(resource).build())
            }
        };
        Ok(Self {
            tracer: tracer.build(),
            exports_traces,
            meter,
            logger,
        })
    }

    /// Flushes, for a limited time. Blocks, and needs the Tokio runtime.
    pub(super) fn shut_down(&self) {
        let mut flushes: Vec<Box<dyn FnOnce() -> OTelSdkResult + Send>> = Vec::new();
        let tracer = self.tracer.clone();
        flushes.push(Box::new(move || tracer.shutdown_with_timeout(FLUSH)));
        if let Some(meter) = self.meter.clone() {
            flushes.push(Box::new(move || meter.shutdown_with_timeout(FLUSH)));
        }
        if let Some(logger) = self.logger.clone() {
            flushes.push(Box::new(move || logger.shutdown_with_timeout(FLUSH)));
        }
        // In parallel, on detached threads: not every part of the SDK keeps to its limit.
        let (ended, ends) = channel();
        let begun = Instant::now();
        let flushing = flushes.len();
        for flush in flushes {
            let ended = ended.clone();
            std::thread::spawn(move || ended.send(flush()));
        }
        for _ in 0..flushing {
            let left = FLUSH.saturating_sub(begun.elapsed());
            match ends.recv_timeout(left) {
                Ok(Ok(())) => (),
                Ok(Err(error)) => tracing::warn!(%error, "the last telemetry was not sent"),
                Err(_) => return tracing::warn!("the last telemetry was not sent in time"),
            }
        }
    }
}

/// The endpoint of `signal`; `None` if it is not exported.
fn destination(
    signal: Signal,
    endpoint: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Destination>, TelemetryError> {
    let signal = signal.name();
    let disabled = variable("OTEL_SDK_DISABLED");
    if disabled.is_some_and(|disabled| disabled.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let own_endpoint = variable(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
    let destination = match (own_endpoint, endpoint) {
        (Some(_), _) => Destination::OfSignal,
        (None, Some(endpoint)) => Destination::Endpoint(endpoint.to_owned()),
        (None, None) => return Ok(None),
    };
    let exporter = format!("OTEL_{signal}_EXPORTER");
    match variable(&exporter).as_deref() {
        Some("none") => return Ok(None),
        None | Some("otlp") => (),
        Some(given) => return Err(TelemetryError::setting(exporter, given, "otlp or none")),
    }
    for protocol in [
        format!("OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"),
        "OTEL_EXPORTER_OTLP_PROTOCOL".to_owned(),
    ] {
        match variable(&protocol).as_deref() {
            None => (),
            Some("grpc") => break,
            Some(given) => return Err(TelemetryError::setting(protocol, given, "grpc")),
        }
    }
    Ok(Some(destination))
}

/// The resource attributes. Values in `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` take precedence.
fn resource(service_name: &'static str) -> Resource {
    let instance = uuid::Uuid::new_v4().to_string();
    let mut resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", service_name),
            KeyValue::new("service.namespace", "angarium"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance),
        ])
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    if let Some(name) = variable("OTEL_SERVICE_NAME") {
        resource = resource.with_service_name(name);
    }
    resource.build()
}

/// By the specification, an empty variable counts as unset.
#[expect(
    clippy::disallowed_methods,
    reason = "the OTEL_* variables belong to the SDK, which reads the others itself"
)]
fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLLECTOR: Option<&str> = Some("http://collector:4317");

    fn traces(
        endpoint: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Result<Option<Destination>, String> {
        let given = |name: &str| {
            let found = variables.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        destination(Signal::Traces, endpoint, given).map_err(|error| error.to_string())
    }

    #[test]
    fn without_an_endpoint_nothing_leaves_the_process() {
        assert_eq!(traces(None, &[]), Ok(None));
    }

    #[test]
    fn a_signal_goes_to_its_own_endpoint_or_to_that_of_all() {
        let collector = Destination::Endpoint("http://collector:4317".to_owned());
        assert_eq!(traces(COLLECTOR, &[]), Ok(Some(collector)));
        let own = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317")];
        assert_eq!(traces(COLLECTOR, &own), Ok(Some(Destination::OfSignal)));
    }

    #[test]
    fn a_signal_and_all_of_them_can_be_switched_off() {
        for off in [
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_SDK_DISABLED", "true"),
        ] {
            assert_eq!(traces(COLLECTOR, &[off]), Ok(None), "{off:?}");
        }
    }

    #[test]
    fn what_is_not_built_in_is_refused_by_name() {
        for (name, given) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
        ] {
            let error = traces(COLLECTOR, &[(name, given)]).unwrap_err();
            assert!(error.contains(name) && error.contains(given), "{error}");
        }
    }
}
