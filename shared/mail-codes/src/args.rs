//! The setting of the sealing key, for both services.

use runtime::config::{Mode, Problems, master_key};
use runtime::sealed::MasterKey;

/// At each flag: `next_help_heading` would also apply to the service's own flags.
const HEADING: &str = "Security";

/// The sealing key of the services that exchange mail codes. No `Debug`: it is a secret.
#[derive(Clone, clap::Args)]
pub struct MailSealingKeyArgs {
    /// Key that encrypts codes on their way from the user service to the notification service, 32 bytes or more; set
    /// the same key in both services. MAIL_SEALING_KEY_FILE names a file that holds it [default in development: a
    /// well-known key]
    #[arg(
        long,
        help_heading = HEADING,
        env = "MAIL_SEALING_KEY",
        value_name = "SECRET",
        hide_env_values = true
    )]
    pub mail_sealing_key: Option<String>,
}

impl MailSealingKeyArgs {
    /// Validates the key.
    pub fn check(self, mode: Mode, problems: &mut Problems) -> Option<MasterKey> {
        master_key("MAIL_SEALING_KEY", self.mail_sealing_key, mode, problems)
    }
}
