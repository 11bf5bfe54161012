//! The own settings of this service: keys and admins.

use mail_codes::MailSealingKeyArgs;
use runtime::config::{Problems, SecretKeyArgs, check_distinct};
use runtime::sealed::MasterKey;
use service::{Known, OwnArgs};

use super::{IdentityArgs, IdentityConfig};

/// Flags and variables. No `Debug`: some are secrets.
#[derive(clap::Args)]
pub struct UserArgs {
    #[command(flatten)]
    secret_key: SecretKeyArgs,
    #[command(flatten)]
    mail_sealing_key: MailSealingKeyArgs,
    #[command(flatten)]
    identity: IdentityArgs,
}

#[derive(Clone)]
pub struct UserConfig {
    /// Of this service's own secrets.
    pub secret_key: MasterKey,
    /// Of the codes in mails.
    pub mail_sealing_key: MasterKey,
    pub identity: IdentityConfig,
}

impl OwnArgs for UserArgs {
    type Config = UserConfig;

    const SECRETS: &'static [&'static str] = &["secret_key", "mail_sealing_key"];

    fn check(self, known: &Known, problems: &mut Problems) -> Option<UserConfig> {
        let secret_key = self.secret_key.check(known.mode, problems);
        let mail_sealing_key = self.mail_sealing_key.check(known.mode, problems);
        check_distinct(secret_key.as_ref(), mail_sealing_key.as_ref(), problems);
        let identity = self.identity.check(problems);
        Some(UserConfig {
            secret_key: secret_key?,
            mail_sealing_key: mail_sealing_key?,
            identity: identity?,
        })
    }
}
