//! An OpenTelemetry collector for one test: it stores what a process exports over OTLP, by gRPC or HTTP.

mod http;
mod kept;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::LogsServiceServer;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsServiceServer;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceServiceServer;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use tokio::runtime::{Builder, Runtime};
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

pub use kept::{Attributes, Full};
use kept::{Kept, attributes, lock, text};

/// An exported span. Ids are lower-case hex.
#[derive(Clone, Debug)]
pub struct ExportedSpan {
    /// The name in traces.
    pub name: String,
    /// `server`, `client`, `producer`, `consumer` or `internal`.
    pub kind: &'static str,
    /// The trace.
    pub trace_id: String,
    /// The span.
    pub span_id: String,
    /// The parent span; empty for a root.
    pub parent_id: String,
    /// The ids of linked spans.
    pub links: Vec<String>,
    /// The attributes.
    pub attributes: Attributes,
    /// Whether its status is an error.
    pub is_error: bool,
    /// The start in Unix nanoseconds.
    pub began_ns: u64,
    /// The end in Unix nanoseconds.
    pub ended_ns: u64,
}

/// A running collector. Dropping it stops it.
pub struct Collector {
    address: SocketAddr,
    kept: Arc<Kept>,
    /// A separate runtime: a test that waits for a process to end blocks its thread while the process exports its last
    /// data.
    runtime: Option<Runtime>,
}

impl Collector {
    /// Listens on a free port.
    pub fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("the system gives a thread");
        let context = runtime.enter();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listening = TcpIncoming::bind(any).expect("a free port");
        let address = listening.local_addr().expect("a bound socket");
        let kept = Arc::new(Kept::default());
        let gzip = CompressionEncoding::Gzip;
        let routes = Routes::from(http::routes(Arc::clone(&kept)))
            .add_service(TraceServiceServer::from_arc(Arc::clone(&kept)).accept_compressed(gzip))
            .add_service(MetricsServiceServer::from_arc(Arc::clone(&kept)).accept_compressed(gzip))
            .add_service(LogsServiceServer::from_arc(Arc::clone(&kept)).accept_compressed(gzip));
        let server = Server::builder()
            .accept_http1(true)
            .add_routes(routes)
            .serve_with_incoming(listening);
        runtime.spawn(async move {
            server.await.expect("the collector serves");
        });
        drop(context);
        Self {
            address,
            kept,
            runtime: Some(runtime),
        }
    }

    /// The endpoint of both protocols.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The resource attributes, once per export.
    pub fn resources(&self) -> Vec<Attributes> {
        lock(&self.kept.resources).clone()
    }

    /// Refuses the next `times` exports of spans.
    pub fn refuse_spans(&self, full: Full, times: usize) {
        *lock(&self.kept.refusals) = vec![full; times];
    }

    /// All spans, in the order of their start.
    pub fn spans(&self) -> Vec<ExportedSpan> {
        let mut spans: Vec<ExportedSpan> = lock(&self.kept.spans).iter().map(exported).collect();
        spans.sort_by_key(|span| span.began_ns);
        spans
    }

    /// All metrics.
    pub fn metrics(&self) -> Vec<Metric> {
        lock(&self.kept.metrics).clone()
    }

    /// All log records: message, attributes, trace id and span id in hex.
    pub fn logs(&self) -> Vec<(String, Attributes, String, String)> {
        let logs = lock(&self.kept.logs);
        let record = |log: &LogRecord| {
            let body = log.body.as_ref().map(text).unwrap_or_default();
            let (trace, span) = (hex(&log.trace_id), hex(&log.span_id));
            (body, attributes(&log.attributes), trace, span)
        };
        logs.iter().map(record).collect()
    }

    /// All exported text, to search for what must not be in it.
    pub fn everything(&self) -> String {
        let (spans, logs) = (lock(&self.kept.spans), lock(&self.kept.logs));
        format!("{:?}{:?}{:?}", *spans, *logs, self.metrics())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // A test's runtime may not wait for another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn exported(span: &Span) -> ExportedSpan {
    ExportedSpan {
        name: span.name.clone(),
        kind: match span.kind() {
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Producer => "producer",
            SpanKind::Consumer => "consumer",
            SpanKind::Internal | SpanKind::Unspecified => "internal",
        },
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: hex(&span.parent_span_id),
        links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
        attributes: attributes(&span.attributes),
        is_error: span
            .status
            .as_ref()
            .is_some_and(|status| status.code() == StatusCode::Error),
        began_ns: span.start_time_unix_nano,
        ended_ns: span.end_time_unix_nano,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
