//! Why telemetry cannot begin.

/// Why nothing is logged.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `LOG_FILTER` was not checked before.
    #[error("the log filter cannot be read: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A process has one log.
    #[error("telemetry is set up already: {0}")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
    /// A variable of OpenTelemetry's asks for what is not there.
    #[error("{name}: {given:?} given, expected {expected}")]
    Setting {
        /// The variable.
        name: String,
        /// Its value.
        given: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Mostly an endpoint that is no URL.
    #[error("OTLP exporter of {signal}: {source}; see the OTEL_EXPORTER_OTLP_* variables")]
    Exporter {
        /// As the variables name it.
        signal: &'static str,
        /// What the exporter says.
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
