//! Logs and trace context.
//!
//! Every RPC and every handled message has a trace id, made here or carried in from the caller, and every log line says
//! which. Spans are not exported yet: an exporter joins the provider in `tracer_provider`, and nothing else changes.

mod correlation;
mod json;

use std::io::IsTerminal;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{LogFormat, TelemetryConfig};

/// Whatever the filter: lapin logs each message that comes back with its whole body, and bodies hold personal data.
const PRINTS_BODIES: &str = "lapin::returned_messages=off";

/// Why nothing is logged.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `LOG_FILTER` was not checked before.
    #[error("the log filter cannot be read: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A process has one log.
    #[error("telemetry is set up already: {0}")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
}

/// Ends telemetry when dropped: what is still held back goes out.
#[derive(Debug)]
#[must_use = "telemetry ends when the guard is dropped"]
pub struct Guard {
    provider: SdkTracerProvider,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Blocking, and therefore outside the runtime: `run` drops the guard last.
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!("the tracer did not shut down cleanly: {error}");
        }
    }
}

/// Sets up logging, tracing and the W3C propagator for this process, once. Tests may do without: then spans have no
/// ids, and everything else works.
///
/// # Errors
/// An unreadable filter, or a second call.
pub fn init(config: &TelemetryConfig, service_name: &'static str) -> Result<Guard, TelemetryError> {
    let filter = EnvFilter::builder()
        .parse(&config.filter)?
        .add_directive(PRINTS_BODIES.parse()?);
    let provider = tracer_provider(service_name);
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(service_name))
        .with_filter(traced());
    // Filters belong to the layers: a quiet log must not cost the trace ids.
    let log = match config.format {
        LogFormat::Human => tracing_subscriber::fmt::layer()
            .compact()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_filter(filter)
            .boxed(),
        LogFormat::Json => json::layer(service_name).with_filter(filter).boxed(),
    };
    tracing_subscriber::registry()
        .with(traces)
        .with(correlation::Layer)
        .with(log)
        .try_init()?;
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    log_panics();
    Ok(Guard { provider })
}

fn tracer_provider(service_name: &'static str) -> SdkTracerProvider {
    let resource = Resource::builder().with_service_name(service_name).build();
    // The place of `.with_batch_exporter(…)`.
    SdkTracerProvider::builder().with_resource(resource).build()
}

/// Our own spans. The libraries' would nest inside them in great numbers, and an exporter's own would feed itself.
fn traced() -> Targets {
    let mut targets = Targets::new().with_default(LevelFilter::INFO);
    for library in [
        "h2",
        "hyper",
        "hyper_util",
        "lapin",
        "opentelemetry",
        "opentelemetry_sdk",
        "sea_orm",
        "sea_orm_migration",
        "sqlx",
        "tonic",
        "tower",
    ] {
        targets = targets.with_target(library, LevelFilter::OFF);
    }
    targets
}

/// A panic is a log line like any other, so that collectors of JSON see it.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic: {message}");
    }));
}
