//! The keys of a deployment: what its secrets are sealed under.
//!
//! In production a key that is missing, well known or short ends the start. In development one may be left out: then the
//! well-known one is used, and the service warns of it.

use secrecy::SecretString;

use super::{Mode, Problems};
use crate::sealed::MasterKey;

/// 256 bits, where each byte is as random as a byte of text can be or better.
const MIN_BYTES: usize = 32;
const EXPECTED: &str =
    "at least 32 random bytes of its own, as `openssl rand -base64 48` makes them";

/// Named at each flag: a heading for what follows would also take in the service's own flags.
const HEADING: &str = "Security";

/// Flags and variables of the key under which a service keeps its own secrets. No `Debug`: it is one.
#[derive(Clone, clap::Args)]
pub struct SecretKeyArgs {
    /// Seals what the user service keeps secret in its database, 32 bytes or more; SECRET_KEY_FILE names a file that holds
    /// it [default in development: a well-known one]
    #[arg(
        long,
        help_heading = HEADING,
        env = "SECRET_KEY",
        value_name = "SECRET",
        hide_env_values = true
    )]
    pub secret_key: Option<String>,
}

impl SecretKeyArgs {
    /// The checked key.
    pub fn check(self, mode: Mode, problems: &mut Problems) -> Option<MasterKey> {
        master_key("SECRET_KEY", self.secret_key, mode, problems)
    }
}

/// The key that `setting` names: `given`, or the well-known one in development.
pub fn master_key(
    setting: &'static str,
    given: Option<String>,
    mode: Mode,
    problems: &mut Problems,
) -> Option<MasterKey> {
    let given = given.filter(|secret| !secret.is_empty());
    let Some(given) = given else {
        if mode == Mode::Development {
            return Some(MasterKey::well_known(setting));
        }
        problems.missing(setting, EXPECTED);
        return None;
    };
    let key = MasterKey::new(setting, SecretString::from(given));
    let is_good = key.bytes() >= MIN_BYTES && (mode == Mode::Development || !key.is_well_known());
    if !is_good {
        problems.add_secret(setting, EXPECTED);
    }
    is_good.then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(given: Option<&str>, mode: Mode) -> Result<MasterKey, Vec<String>> {
        let mut problems = Problems::default();
        let secret_key = given.map(ToOwned::to_owned);
        let key = SecretKeyArgs { secret_key }.check(mode, &mut problems);
        key.ok_or_else(|| problems.into_sentences())
    }

    #[test]
    fn production_refuses_a_missing_a_short_and_the_well_known_key_without_showing_it() {
        let well_known = MasterKey::WELL_KNOWN;
        for given in [None, Some(""), Some("hunter2"), Some(well_known)] {
            let sentences = checked(given, Mode::Production).err().unwrap();
            assert_eq!(sentences.len(), 1, "{given:?}");
            assert!(sentences[0].starts_with("SECRET_KEY"), "{sentences:?}");
            assert!(!sentences[0].contains("hunter2") && !sentences[0].contains(well_known));
        }
        assert!(checked(Some(&"x".repeat(31)), Mode::Production).is_err());
        let own = checked(Some(&"x".repeat(32)), Mode::Production)
            .ok()
            .unwrap();
        assert!(!own.is_well_known());
    }

    #[test]
    fn development_needs_none_and_still_refuses_a_short_one() {
        let well_known = checked(None, Mode::Development).ok().unwrap();
        assert!(well_known.is_well_known());
        assert!(checked(Some("hunter2"), Mode::Development).is_err());
    }

    #[test]
    fn a_mode_that_cannot_be_read_is_no_way_around_the_checks() {
        let mut problems = Problems::default();
        let args = super::super::ModeArgs {
            mode: "prod".to_owned(),
        };
        assert_eq!(args.check(&mut problems), Mode::Production);
        assert!(!problems.is_empty());
    }
}
