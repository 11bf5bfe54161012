//! The time for the end of a process.

use std::time::Duration;

use super::Problems;

/// At each flag: `next_help_heading` would also apply to the service's own flags.
const HEADING: &str = "Lifecycle";

/// Flags and variables of the lifecycle.
#[derive(Clone, Debug, clap::Args)]
pub struct LifecycleArgs {
    /// Time to complete work in progress after SIGTERM or Ctrl-C; must be shorter than the supervisor's time limit
    #[arg(
        long,
        help_heading = HEADING,
        env = "SHUTDOWN_GRACE",
        value_name = "TIME",
        default_value = "8s"
    )]
    pub shutdown_grace: String,
}

impl LifecycleArgs {
    /// Validates.
    pub fn check(self, problems: &mut Problems) -> Option<LifecycleConfig> {
        let grace = problems.duration_within(
            "SHUTDOWN_GRACE",
            &self.shutdown_grace,
            (Duration::ZERO, Duration::from_secs(3600)),
        )?;
        Some(LifecycleConfig {
            shutdown_grace: grace,
        })
    }
}

/// The time for the end of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleConfig {
    /// From the first signal until remaining work is cut off. Supervisors usually kill after 10 s or more.
    pub shutdown_grace: Duration,
}

impl Default for LifecycleConfig {
    fn default() -> Self {
        Self {
            shutdown_grace: Duration::from_secs(8),
        }
    }
}
