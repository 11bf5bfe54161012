//! The own settings of this service: the destination of mails, and the key of their codes.

use mail_codes::MailSealingKeyArgs;
use runtime::config::Problems;
use runtime::sealed::MasterKey;
use service::{Known, OwnArgs};

use super::{MailArgs, MailConfig};

const DEFAULT_FOLDER: &str = "mails";

/// Flags and variables. No `Debug`: some are secrets.
#[derive(clap::Args)]
pub struct NotificationArgs {
    #[command(flatten)]
    mail: MailArgs,
    #[command(flatten)]
    mail_sealing_key: MailSealingKeyArgs,
}

#[derive(Clone)]
pub struct NotificationConfig {
    pub mail: MailConfig,
    /// Decrypts the codes in mails.
    pub mail_sealing_key: MasterKey,
}

impl OwnArgs for NotificationArgs {
    type Config = NotificationConfig;

    const SECRETS: &'static [&'static str] = &["smtp_url", "mail_sealing_key"];

    fn check(self, known: &Known, problems: &mut Problems) -> Option<NotificationConfig> {
        let mail = self
            .mail
            .check(&known.folder.join(DEFAULT_FOLDER), known.mode, problems);
        let mail_sealing_key = self.mail_sealing_key.check(known.mode, problems);
        Some(NotificationConfig {
            mail: mail?,
            mail_sealing_key: mail_sealing_key?,
        })
    }
}
