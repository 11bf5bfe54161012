//! Development or production.

use super::Problems;

/// At each flag: `next_help_heading` would also apply to the service's own flags.
const HEADING: &str = "Security";

/// Flags and variables of the mode.
#[derive(Clone, Debug, clap::Args)]
pub struct ModeArgs {
    /// `development` or `production`; production needs keys of its own, a certificate, a mail server and a private data
    /// folder, and has reflection only with GRPC_REFLECTION=on
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
    /// The mode. An invalid one is a problem, and counts as production in the checks that follow.
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

/// Development or production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Starts without any settings. Its keys are public.
    Development,
    /// Starts only with its own keys.
    Production,
}
