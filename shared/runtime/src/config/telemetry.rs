//! What is logged, and for whom: people at a terminal or machines that collect.

use tracing_subscriber::EnvFilter;

use super::Problems;

/// Migrations report every file at each start otherwise.
const DEFAULT_FILTER: &str = "info,sea_orm_migration=warn";

/// Named at each flag: a heading for what follows would also take in the service's own flags.
const HEADING: &str = "Telemetry";

/// Flags and variables of telemetry.
#[derive(Clone, Debug, clap::Args)]
pub struct TelemetryArgs {
    /// `human` (lines on stderr) or `json` (one object a line on stdout)
    #[arg(
        long,
        help_heading = HEADING,
        env = "LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "human"
    )]
    pub log_format: String,

    /// What is logged, in RUST_LOG syntax [default: info]
    #[arg(
        long,
        help_heading = HEADING,
        env = "LOG_FILTER",
        value_name = "FILTER"
    )]
    pub log_filter: Option<String>,
}

impl TelemetryArgs {
    /// The checked section. A command with a default of its own fills `log_filter` before it asks.
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
        Some(TelemetryConfig {
            format: format?,
            filter: filter_is_valid.then_some(filter)?,
        })
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// In RUST_LOG syntax.
    pub filter: String,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            filter: DEFAULT_FILTER.to_owned(),
        }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Short lines on stderr, coloured on a terminal.
    Human,
    /// One JSON object a line on stdout.
    Json,
}
