//! The keys of a deployment, which encrypt its secrets.
//!
//! In production, the start fails if a key is missing, well known, short or not random, or if two keys are equal. In
//! development, the well-known key replaces a missing one, with a warning.

use secrecy::SecretString;

use super::{Mode, Problems};
use crate::sealed::MasterKey;

/// 256 bits, if each byte is as random as a byte of text can be.
const MIN_BYTES: usize = 32;
const EXPECTED: &str =
    "at least 32 random bytes of its own, as `openssl rand -base64 48` makes them";

/// At each flag: `next_help_heading` would also apply to the service's own flags.
const HEADING: &str = "Security";

/// Flags and variables of the key that encrypts a service's own secrets. No `Debug`: it is a secret.
#[derive(Clone, clap::Args)]
pub struct SecretKeyArgs {
    /// Encrypts the secrets in the user service's database, 32 bytes or more; SECRET_KEY_FILE names a file that
    /// contains it [default in development: a well-known one]
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
    /// Validates.
    pub fn check(self, mode: Mode, problems: &mut Problems) -> Option<MasterKey> {
        master_key("SECRET_KEY", self.secret_key, mode, problems)
    }
}

/// Reports equal keys: an attacker with one service's key would have the other's. Two well-known keys are allowed, as
/// the defaults of development.
pub fn check_distinct(one: Option<&MasterKey>, other: Option<&MasterKey>, problems: &mut Problems) {
    let (Some(one), Some(other)) = (one, other) else {
        return;
    };
    if one.is_same_as(other) && !one.is_well_known() {
        problems.note(format!(
            "{} and {} have the same value (not shown, it is a secret), expected two different ones",
            one.setting(),
            other.setting()
        ));
    }
}

/// The key in `setting`: `given`, or the well-known one in development.
pub fn master_key(
    setting: &'static str,
    given: Option<String>,
    mode: Mode,
    problems: &mut Problems,
) -> Option<MasterKey> {
    // It may come from code.
    let given = given.map(|secret| store::secret_of(&secret).to_owned());
    let given = given.filter(|secret| !secret.is_empty());
    let Some(given) = given else {
        if mode == Mode::Development {
            return Some(MasterKey::well_known(setting));
        }
        problems.missing(setting, EXPECTED);
        return None;
    };
    let key = MasterKey::new(setting, SecretString::from(given));
    let is_known = mode == Mode::Production && key.is_well_known();
    let is_good = key.bytes() >= MIN_BYTES && key.looks_random() && !is_known;
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
    fn production_refuses_missing_short_and_well_known_keys() {
        let well_known = MasterKey::WELL_KNOWN;
        for given in [None, Some(""), Some("hunter2"), Some(well_known)] {
            let sentences = checked(given, Mode::Production).err().unwrap();
            assert_eq!(sentences.len(), 1, "{given:?}");
            assert!(sentences[0].starts_with("SECRET_KEY"), "{sentences:?}");
            assert!(!sentences[0].contains("hunter2") && !sentences[0].contains(well_known));
        }
        assert!(checked(Some(&GOOD[..31]), Mode::Production).is_err());
        let own = checked(Some(&GOOD[..32]), Mode::Production).ok().unwrap();
        assert!(!own.is_well_known());
    }

    const GOOD: &str = "J5yH0f1Qmz8xKc3vWbR7uTq2LsPd9NaE";

    #[test]
    fn a_key_that_is_not_random_is_refused() {
        for weak in [
            "0".repeat(32),
            "0".repeat(64),
            "\0".repeat(32),
            "abcd".repeat(16),
            "0123456789abcdef".repeat(2),
            "correct horse ".repeat(3),
            "abcdefghijklmnopqrstuvwxyz0123456789".to_owned(),
        ] {
            for mode in [Mode::Production, Mode::Development] {
                assert!(checked(Some(&weak), mode).is_err(), "{weak:?}");
            }
        }
        // From `openssl rand` in base 64 and base 16, and a sentence.
        for random in [
            GOOD,
            "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJAx",
            "9f86d081884c7d659a2feaa0c55ad015",
            "a key of thirty-two bytes or more",
        ] {
            assert!(checked(Some(random), Mode::Production).is_ok(), "{random}");
        }
    }

    #[test]
    fn a_line_break_or_a_byte_order_mark_makes_no_other_key() {
        let key = checked(Some(GOOD), Mode::Production).ok().unwrap();
        for written in [format!("{GOOD}\n"), format!("\u{feff}{GOOD}\r\n")] {
            let other = checked(Some(&written), Mode::Production).ok().unwrap();
            assert!(key.is_same_as(&other), "{written:?}");
        }
    }

    #[test]
    fn two_keys_may_not_be_one() {
        let key = |setting, text: &str| MasterKey::new(setting, SecretString::from(text));
        let noted = |one: &MasterKey, other: &MasterKey| {
            let mut problems = Problems::default();
            check_distinct(Some(one), Some(other), &mut problems);
            problems.into_sentences()
        };
        let (one, other) = (key("SECRET_KEY", GOOD), key("MAIL_SEALING_KEY", GOOD));
        let sentences = noted(&one, &other);
        assert_eq!(sentences.len(), 1);
        assert!(!sentences[0].contains(GOOD));
        assert!(noted(&one, &key("MAIL_SEALING_KEY", &GOOD[1..])).is_empty());
        let well_known = MasterKey::well_known;
        assert!(noted(&well_known("SECRET_KEY"), &well_known("MAIL_SEALING_KEY")).is_empty());
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
