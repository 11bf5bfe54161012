//! Logs, traces and metrics.
//!
//! Every RPC and every handled message has a trace id, and every log line has it. With an OTLP endpoint, all three
//! signals go there as well ([`export`]); `docs/telemetry.md` lists them.

mod baggage;
mod certificates;
mod correlation;
mod error;
mod export;
mod exporters;
mod http;
mod human;
mod json;
mod libraries;
mod outlet;
pub(crate) mod report;
mod resource;
mod watched;

use std::io::IsTerminal;

use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_appender_tracing::layer::{OpenTelemetryTracingBridge, TracingSpanAttributes};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{LogFormat, TelemetryConfig};
use baggage::AllowedBaggage;
pub use error::TelemetryError;
use export::Providers;
use human::Human;
use libraries::LIBRARIES;

/// lapin logs each returned message with its body, which contains personal data.
const PRINTS_BODIES: &str = "lapin::returned_messages=off";

/// An exported log record takes these from the spans around it.
const LOGGED_OF_SPANS: [&str; 5] = [
    "correlation_id",
    "event.id",
    "aggregate.id",
    "attempt",
    "rpc.method",
];

/// Flushes and ends telemetry when dropped.
#[derive(Debug)]
#[must_use = "telemetry ends when the guard is dropped"]
pub struct Guard {
    providers: Providers,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Blocks, and sends through the runtime: so outside of it, while it exists.
        self.providers.shut_down();
    }
}

/// Sets up logs, traces and metrics, and the W3C propagators, once per process. Without it, as in tests, spans have no
/// ids. Needs the context of a Tokio runtime.
///
/// # Errors
/// An unreadable filter, unsupported values of `OTEL_*` variables, or a second call.
pub fn init(config: &TelemetryConfig, service_name: &'static str) -> Result<Guard, TelemetryError> {
    let filter = || -> Result<EnvFilter, TelemetryError> {
        let filter = EnvFilter::builder().parse(&config.filter)?;
        Ok(filter.add_directive(PRINTS_BODIES.parse()?))
    };
    let providers = Providers::open(service_name, config.otlp_endpoint.as_deref())?;
    let traces = tracing_opentelemetry::layer()
        .with_tracer(providers.tracer.tracer(service_name))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_level(false)
        .with_target(false)
        .with_filter(traced(providers.exports_traces))
        // Logs have their own signal.
        .with_filter(filter_fn(is_span));
    // Filters belong to the layers: a quiet log must not remove the trace ids.
    let log = match config.format {
        LogFormat::Human => tracing_subscriber::fmt::layer()
            .event_format(Human)
            // A closed stderr cannot be reported.
            .log_internal_errors(false)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_filter(filter()?)
            .with_filter(filter_fn(is_said_once))
            .boxed(),
        LogFormat::Json => json::layer(service_name)
            .with_filter(filter()?)
            .with_filter(filter_fn(is_said_once))
            .boxed(),
    };
    let mut exported = filter()?;
    for library in LIBRARIES {
        exported = exported.add_directive(format!("{library}=off").parse()?);
    }
    let exported = providers.logger.as_ref().map(|logger| {
        OpenTelemetryTracingBridge::builder(logger)
            .with_tracing_span_attributes(TracingSpanAttributes::allowlist(LOGGED_OF_SPANS))
            .build()
            .with_filter(exported)
    });
    tracing_subscriber::registry()
        .with(traces)
        .with(correlation::Layer)
        .with(log)
        .with(exported)
        .try_init()?;
    opentelemetry::global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(AllowedBaggage::of(&config.baggage_keys)),
    ]));
    if let Some(meter) = &providers.meter {
        opentelemetry::global::set_meter_provider(meter.clone());
    }
    log_panics();
    Ok(Guard { providers })
}

fn is_span(metadata: &tracing::Metadata<'_>) -> bool {
    metadata.is_span()
}

/// The SDK reports each failed export; [`outlet`] reports once that telemetry is lost.
fn is_said_once(metadata: &tracing::Metadata<'_>) -> bool {
    const REPEATED: [&str; 5] = [
        ".AfterShutdown",
        ".ExportError",
        ".ForceFlushError",
        ".Shutdown.Timeout",
        "Export.Failed.",
    ];
    let (target, name) = (metadata.target(), metadata.name());
    !target.starts_with("opentelemetry") || !REPEATED.iter().any(|said| name.contains(said))
}

/// Spans below INFO are details, needed only for traces.
fn traced(exports: bool) -> Targets {
    let level = if exports {
        LevelFilter::DEBUG
    } else {
        LevelFilter::INFO
    };
    let libraries = LIBRARIES.map(|library| (library, LevelFilter::OFF));
    Targets::new().with_default(level).with_targets(libraries)
}

/// Collectors of JSON see it as a log line.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic: {message}");
    }));
}
