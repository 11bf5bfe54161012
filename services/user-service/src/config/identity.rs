//! Admins and the rotation of keys.

use std::collections::BTreeSet;
use std::time::Duration;

use runtime::config::Problems;

use crate::user::Email;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const KEY_ROTATION: Duration = Duration::from_secs(30 * 24 * 3600);

/// At each flag: `next_help_heading` would also apply to the service's own flags.
const HEADING: &str = "Identity";

/// Flags and variables of identity.
#[derive(Clone, clap::Args)]
pub struct IdentityArgs {
    /// E-mail addresses of admins, separated by commas; an address counts after it is verified [default: none]
    #[arg(
        long,
        help_heading = HEADING,
        env = "ADMIN_EMAILS",
        value_name = "ADDRESSES",
        hide_env_values = true
    )]
    pub admin_emails: Option<String>,

    /// E-mail addresses of operators, separated by commas; each user has to verify the address [default: none]
    #[arg(
        long,
        help_heading = HEADING,
        env = "OPERATOR_EMAILS",
        value_name = "ADDRESSES",
        hide_env_values = true
    )]
    pub operator_emails: Option<String>,

    /// How long a key signs access tokens before the next key replaces it
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
    /// Validates.
    pub fn check(self, problems: &mut Problems) -> Option<IdentityConfig> {
        let admins = addresses("ADMIN_EMAILS", self.admin_emails.as_deref(), problems);
        let operators = addresses("OPERATOR_EMAILS", self.operator_emails.as_deref(), problems);
        let rotation =
            problems.duration_within("KEY_ROTATION", &self.key_rotation, (6 * HOUR, 366 * DAY));
        let (admins, operators) = (admins?, operators?);
        if !admins.is_disjoint(&operators) {
            let expected = "no address of ADMIN_EMAILS: a user has one role";
            problems.add_secret("OPERATOR_EMAILS", expected);
            return None;
        }
        Some(IdentityConfig {
            admins,
            operators,
            key_rotation: rotation?,
        })
    }
}

#[derive(Clone)]
pub struct IdentityConfig {
    /// Of the addresses.
    pub admins: BTreeSet<String>,
    /// As `admins`.
    pub operators: BTreeSet<String>,
    pub key_rotation: Duration,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        Self {
            admins: BTreeSet::new(),
            operators: BTreeSet::new(),
            key_rotation: KEY_ROTATION,
        }
    }
}

/// Addresses are personal data, so the error shows no value.
fn addresses(
    setting: &str,
    list: Option<&str>,
    problems: &mut Problems,
) -> Option<BTreeSet<String>> {
    let list = list.unwrap_or_default();
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
            setting,
            "e-mail addresses such as ada@example.com, separated by commas",
        );
    }
    keys
}
