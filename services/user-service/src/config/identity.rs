//! Who is an admin, and how long keys sign.

use std::collections::BTreeSet;
use std::time::Duration;

use runtime::config::Problems;

use crate::user::Email;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const KEY_ROTATION: Duration = Duration::from_secs(30 * 24 * 3600);

/// Named at each flag: a heading for what follows would also take in the service's own flags.
const HEADING: &str = "Identity";

/// Flags and variables of identity.
#[derive(Clone, clap::Args)]
pub struct IdentityArgs {
    /// E-mail addresses whose users are admins once they have verified them, with commas between them [default: nobody]
    #[arg(
        long,
        help_heading = HEADING,
        env = "ADMIN_EMAILS",
        value_name = "ADDRESSES",
        hide_env_values = true
    )]
    pub admin_emails: Option<String>,

    /// How long a key signs access tokens before the next one does
    #[arg(
        long,
        help_heading = HEADING,
        env = "KEY_ROTATION",
        value_name = "TIME",
        default_value = "30d"
    )]
    pub key_rotation: String,
}

impl IdentityArgs {
    /// The checked section.
    pub fn check(self, problems: &mut Problems) -> Option<IdentityConfig> {
        let admins = admins(self.admin_emails.as_deref().unwrap_or_default(), problems);
        let rotation =
            problems.duration_within("KEY_ROTATION", &self.key_rotation, (6 * HOUR, 366 * DAY));
        Some(IdentityConfig {
            admins: admins?,
            key_rotation: rotation?,
        })
    }
}

/// Who is an admin, and how long keys sign.
#[derive(Clone)]
pub struct IdentityConfig {
    /// The keys of the addresses.
    pub admins: BTreeSet<String>,
    pub key_rotation: Duration,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        Self {
            admins: BTreeSet::new(),
            key_rotation: KEY_ROTATION,
        }
    }
}

/// Addresses are personal, so a wrong one is not shown.
fn admins(list: &str, problems: &mut Problems) -> Option<BTreeSet<String>> {
    let addresses = list.split(',').filter(|address| !address.trim().is_empty());
    let keys: Option<BTreeSet<String>> = addresses
        .map(|address| {
            Email::parse(address)
                .ok()
                .map(|email| email.key().to_owned())
        })
        .collect();
    if keys.is_none() {
        problems.add_secret(
            "ADMIN_EMAILS",
            "e-mail addresses such as ada@example.com, with commas between them",
        );
    }
    keys
}
