//! What a process is for: to be tried and worked on, or to be relied on.

use super::Problems;

/// Named at each flag: a heading for what follows would also take in the service's own flags.
const HEADING: &str = "Security";

/// Flags and variables of the mode.
#[derive(Clone, Debug, clap::Args)]
pub struct ModeArgs {
    /// `development`, or `production`: refuses to start with missing, well-known or short keys, and has no reflection
    /// unless told to
    #[arg(
        long,
        help_heading = HEADING,
        env = "MODE",
        value_name = "MODE",
        default_value = "development"
    )]
    pub mode: String,
}

impl ModeArgs {
    /// The mode. One that cannot be read is a problem, and counts as production for the checks that follow.
    pub fn check(&self, problems: &mut Problems) -> Mode {
        match self.mode.trim() {
            "development" => Mode::Development,
            "production" => Mode::Production,
            other => {
                problems.add("MODE", other, "development or production");
                Mode::Production
            }
        }
    }
}

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Starts with nothing configured. Its keys are known to everybody who can read this repository.
    Development,
    /// Starts only with keys of its own.
    Production,
}
