//! The setting of the key, for both services.

use runtime::config::{Mode, Problems, master_key};
use runtime::sealed::MasterKey;

/// Named at each flag: a heading for what follows would also take in the service's own flags.
const HEADING: &str = "Security";

/// Flags and variables of the key that the services share which hand over and send codes by mail. No `Debug`: it is one.
#[derive(Clone, clap::Args)]
pub struct MailSealingKeyArgs {
    /// Seals the codes in mails on their way from the user service to the notification service, which have it in common, 32
    /// bytes or more; MAIL_SEALING_KEY_FILE names a file that holds it [default in development: a well-known one]
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
    /// The checked key.
    pub fn check(self, mode: Mode, problems: &mut Problems) -> Option<MasterKey> {
        master_key("MAIL_SEALING_KEY", self.mail_sealing_key, mode, problems)
    }
}
