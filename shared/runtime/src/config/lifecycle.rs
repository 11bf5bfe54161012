//! How long a process may take to end.

use std::time::Duration;

use super::Problems;

/// Named at each flag: a heading for what follows would also take in the service's own flags.
const HEADING: &str = "Lifecycle";

/// Flags and variables of the lifecycle.
#[derive(Clone, Debug, clap::Args)]
pub struct LifecycleArgs {
    /// Time to finish work in flight after SIGTERM or Ctrl-C; keep it below the supervisor's own
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
    /// The checked section.
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

/// How long a process may take to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleConfig {
    /// From the first signal until what is left is cut off. Supervisors usually kill after 10 s or more.
    pub shutdown_grace: Duration,
}

impl Default for LifecycleConfig {
    fn default() -> Self {
        Self {
            shutdown_grace: Duration::from_secs(8),
        }
    }
}
