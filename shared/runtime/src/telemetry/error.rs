//! Why telemetry cannot start.

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `LOG_FILTER` was not validated.
    #[error("the log filter cannot be read: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A process has one log.
    #[error("telemetry is set up already: {0}")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
    /// An `OTEL_*` variable has an unsupported value.
    #[error("{name}: {given:?} given, expected {expected}")]
    Setting {
        /// The variable.
        name: String,
        /// Its value.
        given: String,
        /// The supported values.
        expected: &'static str,
    },
    /// Usually an endpoint that is not a URL.
    #[error("OTLP exporter of {signal}: {source}; see the OTEL_EXPORTER_OTLP_* variables")]
    Exporter {
        /// The signal, as the variables name it.
        signal: &'static str,
        /// The exporter's error.
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// The HTTP client has no TLS.
    #[error("the HTTP client of OTLP: {0}")]
    Client(rustls::Error),
}

impl TelemetryError {
    pub(super) fn setting(name: String, given: &str, expected: &'static str) -> Self {
        Self::Setting {
            name,
            given: given.to_owned(),
            expected,
        }
    }
}
