//! Passwords: what one must be, what somebody gives for one, and the hash that is all we keep of it.

use secrecy::{ExposeSecret as _, SecretString};
use unicode_normalization::UnicodeNormalization as _;

pub const MIN_CHARACTERS: usize = 8;
pub const MAX_CHARACTERS: usize = 128;

/// No character that NFKC composes comes from more bytes, so what is longer has too many characters. Known before any
/// work is done on it.
const MAX_BYTES: usize = 16 * MAX_CHARACTERS;

/// A password that may become somebody's. In Unicode form NFKC, so that it is the same one on another keyboard.
#[derive(Debug)]
pub struct Password(SecretString);

/// Why something cannot be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have from {MIN_CHARACTERS} to {MAX_CHARACTERS} characters")]
pub struct InvalidPassword;

impl Password {
    /// # Errors
    /// Where it is too short or too long. Any characters will do.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what was given is wiped here and not when the caller ends"
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

    /// For hashing, and for nothing else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A password that somebody gives to show who they are, of whatever length the contract allows. In the same form as
/// [`Password`].
#[derive(Debug)]
pub struct Attempt(SecretString);

impl Attempt {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what was given is wiped here and not when the caller ends"
    )]
    pub fn new(given: SecretString) -> Self {
        let normalised: String = given.expose_secret().nfkc().collect();
        Self(SecretString::from(normalised))
    }

    /// For hashing, and for nothing else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The hash of a password in PHC form: algorithm, costs, salt and hash in one string.
#[derive(Debug)]
pub struct PasswordHash(SecretString);

impl PasswordHash {
    /// A hash from the database.
    pub fn stored(hash: String) -> Self {
        Self(SecretString::from(hash))
    }

    /// For the database, and for nobody else.
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
        // An e with two marks is one character, in three code points.
        let composed = "e\u{302}\u{301}".repeat(128);
        assert!(parse(&composed).is_ok());
        assert!(parse(&"e\u{301}".repeat(7)).is_err());
        // One ligature is eighteen characters.
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
