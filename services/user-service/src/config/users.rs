//! The settings of this service beyond the common ones: its keys, and which users are admins.

use mail_codes::MailSealingKeyArgs;
use runtime::config::{Problems, SecretKeyArgs, check_distinct};
use runtime::sealed::MasterKey;
use service::{Known, OwnArgs};

use super::{IdentityArgs, IdentityConfig};

/// Flags and variables. No `Debug`: there are secrets among them.
#[derive(clap::Args)]
pub struct UserArgs {
    #[command(flatten)]
    secret_key: SecretKeyArgs,
    #[command(flatten)]
    mail_sealing_key: MailSealingKeyArgs,
    #[command(flatten)]
    identity: IdentityArgs,
}

/// The checked form.
#[derive(Clone)]
pub struct UserConfig {
    /// Under which this service keeps its own secrets.
    pub secret_key: MasterKey,
    /// Under which the codes in mails go out.
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
