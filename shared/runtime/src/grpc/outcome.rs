//! One log line, one measurement and the span's status per call, also if the client has disconnected.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use http::HeaderMap;
use opentelemetry::metrics::Histogram;
use opentelemetry::{KeyValue, global};
use tonic::{Code, Status};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::marks::Admitted;
use super::why::{CalledBy, Why};

/// In seconds, from OpenTelemetry's RPC conventions.
const BOUNDARIES: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

pub(super) fn durations() -> Histogram<f64> {
    global::meter("runtime")
        .f64_histogram("rpc.server.call.duration")
        .with_unit("s")
        .with_description("Duration of calls, until the last byte of the answer")
        .with_boundaries(BOUNDARIES.to_vec())
        .build()
}

#[derive(Default)]
pub(super) struct Open(Option<Arc<AtomicUsize>>);

impl Open {
    pub(super) fn counted_in(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Some(Arc::clone(open)))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(open) = &self.0 {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Reported once: by [`Outcome::is`], or as cancelled if it is dropped before.
pub(super) struct Outcome {
    span: Span,
    method: String,
    name: String,
    begun: Instant,
    durations: Histogram<f64>,
    reported: bool,
    excused: bool,
    caller: CalledBy,
    why: Why,
    /// Returned after the last byte of the answer.
    slot: Option<Admitted>,
    _open: Open,
}

impl Outcome {
    /// `name` is the method's name in metrics; callers cannot invent more of them.
    pub(super) fn open(
        span: Span,
        method: &str,
        name: &str,
        durations: Histogram<f64>,
        open: Open,
    ) -> Self {
        Self {
            span,
            method: method.to_owned(),
            name: name.to_owned(),
            begun: Instant::now(),
            durations,
            reported: false,
            excused: false,
            caller: CalledBy::default(),
            why: Why::default(),
            slot: None,
            _open: open,
        }
    }

    pub(super) fn hold(&mut self, slot: Admitted) {
        self.slot = Some(slot);
    }

    pub(super) fn caller(&self) -> CalledBy {
        self.caller.clone()
    }

    /// As [`is`](Self::is), with the details of the status in these headers or trailers.
    pub(super) fn is_in(&mut self, code: Code, headers: &HeaderMap) {
        if code != Code::Ok
            && let Some(status) = Status::from_header_map(headers)
        {
            self.why = Why::of(&status);
        }
        self.is(code);
    }

    /// The service is not at fault, even if the next code is a failure.
    pub(super) fn excuse(&mut self) {
        self.excused = true;
    }

    /// Only the first report counts.
    pub(super) fn is(&mut self, code: Code) {
        if std::mem::replace(&mut self.reported, true) {
            return;
        }
        let status = name(code);
        self.span.record("rpc.status_code", status);
        let is_fault = is_server_fault(code) && !self.excused;
        let is_error = is_fault || (code == Code::Unimplemented && !self.excused);
        if is_error {
            self.span.record("otel.status_code", "ERROR");
            self.span.set_attribute("error.type", status);
        }
        self.measure(status, is_error);
        let _entered = self.span.enter();
        let method = self.method.as_str();
        // Smaller parts than microseconds are noise.
        let duration_ms = self.begun.elapsed().as_micros() as f64 / 1000.0;
        // Probes come every few seconds.
        let is_probe = method.starts_with("grpc.health.") || method.starts_with("grpc.reflection.");
        let Why { reason, field } = &self.why;
        let (reason, field) = (reason.as_deref(), field.as_deref());
        let caller = self.caller.name();
        match code {
            Code::Ok if is_probe => tracing::debug!(method, status, duration_ms, "call"),
            Code::Ok => tracing::info!(method, status, duration_ms, "call"),
            _ if is_fault => {
                tracing::error!(method, status, reason, field, caller, duration_ms, "call");
            }
            _ if self.excused => {
                tracing::info!(method, status, reason, field, caller, duration_ms, "call");
            }
            Code::ResourceExhausted
            | Code::Unimplemented
            | Code::Unauthenticated
            | Code::PermissionDenied => {
                tracing::warn!(method, status, reason, field, caller, duration_ms, "call");
            }
            _ => tracing::info!(method, status, reason, field, caller, duration_ms, "call"),
        }
    }

    fn measure(&self, status: &'static str, is_error: bool) {
        let mut attributes = vec![
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", self.name.clone()),
            KeyValue::new("rpc.status_code", status),
        ];
        if is_error {
            attributes.push(KeyValue::new("error.type", status));
        }
        let took = self.begun.elapsed().as_secs_f64();
        self.durations.record(took, &attributes);
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        self.is(Code::Cancelled);
    }
}

/// Codes that a caller cannot have caused.
fn is_server_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// In gRPC's list of codes.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};

    use super::*;

    fn measured(code: Code, excused: bool) -> Vec<String> {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let durations = provider.meter("test").f64_histogram("duration").build();
        let mut outcome = Outcome::open(Span::none(), "m", "m", durations, Open::default());
        if excused {
            outcome.excuse();
        }
        outcome.is(code);
        provider.force_flush().unwrap();
        let exported = exporter.get_finished_metrics().unwrap();
        let mut scopes = exported.iter().flat_map(ResourceMetrics::scope_metrics);
        let metric = scopes.find_map(|scope| scope.metrics().next()).unwrap();
        let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data() else {
            panic!("no histogram of numbers");
        };
        let point = histogram.data_points().next().unwrap();
        point
            .attributes()
            .map(|pair| pair.key.to_string())
            .collect()
    }

    #[test]
    fn only_what_is_our_fault_is_measured_as_an_error() {
        let is_error = |code, excused| measured(code, excused).contains(&"error.type".to_owned());
        for code in [Code::Unavailable, Code::Internal, Code::Unimplemented] {
            assert!(is_error(code, false), "{code:?}");
            assert!(!is_error(code, true), "{code:?}");
        }
        assert!(!is_error(Code::Unauthenticated, false));
    }
}
