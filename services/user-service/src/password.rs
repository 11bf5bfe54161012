//! Passwords: valid new ones, attempts, and the stored hash.

use secrecy::{ExposeSecret as _, SecretString};
use unicode_normalization::UnicodeNormalization as _;

pub const MIN_CHARACTERS: usize = 8;
pub const MAX_CHARACTERS: usize = 128;

/// NFKC composes no character from more bytes, so a longer text has too many characters. Checked first.
const MAX_BYTES: usize = 16 * MAX_CHARACTERS;

/// In Unicode form NFKC: the same on every keyboard.
#[derive(Debug)]
pub struct Password(SecretString);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have from {MIN_CHARACTERS} to {MAX_CHARACTERS} characters")]
pub struct InvalidPassword;

impl Password {
    /// # Errors
    /// If it is too short or too long. All characters are allowed.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the value is wiped here, not at the end of the caller"
    )]
    pub fn parse(given: SecretString) -> Result<Self, InvalidPassword> {
        if given.expose_secret().len() > MAX_BYTES {
            return Err(InvalidPassword);
        }
        let normalised: String = given.expose_secret().nfkc().collect();
        let normalised = SecretString::from(normalised);
        let characters = normalised.expose_secret().chars().count();
        if !(MIN_CHARACTERS..=MAX_CHARACTERS).contains(&characters) {
            return Err(InvalidPassword);
        }
        Ok(Self(normalised))
    }

    /// Only for hashing.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Of any length that the contract allows, in the same form as [`Password`].
#[derive(Debug)]
pub struct Attempt(SecretString);

impl Attempt {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the value is wiped here, not at the end of the caller"
    )]
    pub fn new(given: SecretString) -> Self {
        let normalised: String = given.expose_secret().nfkc().collect();
        Self(SecretString::from(normalised))
    }

    /// Only for hashing.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// In PHC form: algorithm, costs, salt and hash in one string.
#[derive(Debug)]
pub struct PasswordHash(SecretString);

impl PasswordHash {
    pub fn stored(hash: String) -> Self {
        Self(SecretString::from(hash))
    }

    /// Only for the database.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Password, InvalidPassword> {
        Password::parse(text.into())
    }

    #[test]
    fn a_password_has_from_8_to_128_characters_of_any_kind() {
        for text in [
            "12345678",
            "        ",
            "пароль-πορτοκάλι",
            "\0\n\t\u{7f}1234",
            &"🔑".repeat(128),
        ] {
            assert!(parse(text).is_ok(), "{text:?}");
        }
        for text in ["", "1234567", &"a".repeat(129), &"a".repeat(1 << 20)] {
            assert_eq!(parse(text).unwrap_err(), InvalidPassword);
        }
    }

    #[test]
    fn characters_are_counted_as_they_are_kept() {
        // One character of three code points.
        let composed = "e\u{302}\u{301}".repeat(128);
        assert!(parse(&composed).is_ok());
        assert!(parse(&"e\u{301}".repeat(7)).is_err());
        // One ligature becomes eighteen characters.
        assert!(parse("\u{fdfa}").is_ok());
        assert!(parse(&"\u{fdfa}".repeat(8)).is_err());
    }

    #[test]
    fn debug_shows_neither_password_nor_hash() {
        let password = parse("correct horse").unwrap();
        let attempt = Attempt::new("correct horse".into());
        let hash = PasswordHash::stored("$argon2id$v=19$".to_owned());
        let shown = format!("{password:?} {attempt:?} {hash:?}");
        assert!(!shown.contains("horse") && !shown.contains("argon2"));
    }
}
