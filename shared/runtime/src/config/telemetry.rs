//! Logs, traces and metrics: the format, the filter and the collector.

use tracing_subscriber::EnvFilter;
use url::Url;

use super::Problems;

/// Without it, each start would log every migration and the set-up of OpenTelemetry.
const DEFAULT_FILTER: &str =
    "info,sea_orm_migration=warn,sqlx::postgres::notice=warn,opentelemetry=warn";

/// At each flag: `next_help_heading` would also apply to the service's own flags.
const HEADING: &str = "Telemetry";

/// Flags and variables of telemetry.
#[derive(Clone, Debug, clap::Args)]
pub struct TelemetryArgs {
    /// `human` (lines on stderr) or `json` (one object per line on stdout)
    #[arg(
        long,
        help_heading = HEADING,
        env = "LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "human"
    )]
    pub log_format: String,

    /// Log filter in RUST_LOG syntax [default: info]
    #[arg(
        long,
        help_heading = HEADING,
        env = "LOG_FILTER",
        value_name = "FILTER"
    )]
    pub log_filter: Option<String>,

    /// Where traces, metrics and logs go, over OTLP, as in http://127.0.0.1:4317; the other OTEL_* variables
    /// work too (docs/telemetry.md) [default: nowhere]
    #[arg(
        long,
        help_heading = HEADING,
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        value_name = "URL"
    )]
    pub otel_exporter_otlp_endpoint: Option<String>,

    /// Keys of W3C Baggage that calls and events carry on, separated by commas [default: none]
    #[arg(
        long,
        help_heading = HEADING,
        env = "BAGGAGE_KEYS",
        value_name = "KEYS",
        default_value = "",
        hide_default_value = true
    )]
    pub baggage_keys: String,
}

impl TelemetryArgs {
    /// Validates. A command with its own default fills in `log_filter` first.
    pub fn check(self, problems: &mut Problems) -> Option<TelemetryConfig> {
        let format = match self.log_format.trim() {
            "human" => Some(LogFormat::Human),
            "json" => Some(LogFormat::Json),
            other => {
                problems.add("LOG_FORMAT", other, "human or json");
                None
            }
        };
        let filter = self.log_filter.unwrap_or_else(|| DEFAULT_FILTER.to_owned());
        let filter_is_valid = EnvFilter::builder().parse(&filter).is_ok();
        if !filter_is_valid {
            problems.add(
                "LOG_FILTER",
                &filter,
                "a filter such as info or warn,user_service=debug",
            );
        }
        let endpoint = self.otel_exporter_otlp_endpoint.unwrap_or_default();
        let endpoint = endpoint.trim();
        let endpoint_is_valid = endpoint.is_empty()
            || Url::parse(endpoint).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !endpoint_is_valid {
            problems.add(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                endpoint,
                "a URL such as http://127.0.0.1:4317",
            );
        }
        let keys = self.baggage_keys.split(',').map(str::trim);
        let baggage_keys: Vec<String> = keys
            .filter(|key| !key.is_empty())
            .map(str::to_owned)
            .collect();
        if let Some(odd) = baggage_keys.iter().find(|key| !is_token(key)) {
            problems.add("BAGGAGE_KEYS", odd, "keys such as tenant,region");
            return None;
        }
        Some(TelemetryConfig {
            format: format?,
            filter: filter_is_valid.then_some(filter)?,
            otlp_endpoint: endpoint_is_valid
                .then(|| Some(endpoint.to_owned()).filter(|endpoint| !endpoint.is_empty()))?,
            baggage_keys,
        })
    }
}

/// Keys of W3C Baggage are tokens of RFC 7230.
fn is_token(key: &str) -> bool {
    key.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Logs, traces and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// In RUST_LOG syntax.
    pub filter: String,
    /// The collector of all three signals.
    pub otlp_endpoint: Option<String>,
    /// The keys of callers' baggage that are carried on.
    pub baggage_keys: Vec<String>,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            filter: DEFAULT_FILTER.to_owned(),
            otlp_endpoint: None,
            baggage_keys: Vec::new(),
        }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Short lines on stderr, with colours on a terminal.
    Human,
    /// One JSON object per line on stdout.
    Json,
}
