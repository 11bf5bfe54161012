//! The aggregate: what a user is, and what an address and a name must be to be one's. Pure.
//!
//! Each change raises the version by one, and each version is one event. Address and name are personal: `Debug` shows
//! neither.

use std::fmt;

use email_address::{EmailAddress, Options};
use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

/// The longest path that SMTP carries, without its angle brackets (RFC 5321, erratum 1690).
pub const MAX_EMAIL_CHARACTERS: usize = 254;
pub const MAX_DISPLAY_NAME_CHARACTERS: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: Uuid,
    pub email: Email,
    /// Whether the user has proved that the address is theirs.
    pub email_verified: bool,
    pub display_name: DisplayName,
    /// 1 when registered, and one more with each change.
    pub version: i64,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

impl User {
    /// A new user.
    pub fn register(id: Uuid, email: Email, display_name: DisplayName, now_ms: i64) -> Self {
        Self {
            id,
            email,
            email_verified: false,
            display_name,
            version: 1,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        }
    }

    /// The address is proved to be the user's. `false` where it was already, and nothing has changed.
    pub fn verify_email(&mut self, now_ms: i64) -> bool {
        if self.email_verified {
            return false;
        }
        self.email_verified = true;
        self.change(now_ms);
        true
    }

    /// Gives the user another address, another name, or both. An address that differs in any character, its case included, has to
    /// be verified again: it may be another mailbox. `false` where all is as it was.
    pub fn update(
        &mut self,
        email: Option<Email>,
        display_name: Option<DisplayName>,
        now_ms: i64,
    ) -> bool {
        let before = self.clone();
        if let Some(email) = email {
            self.email_verified &= email == self.email;
            self.email = email;
        }
        if let Some(display_name) = display_name {
            self.display_name = display_name;
        }
        if *self == before {
            return false;
        }
        self.change(now_ms);
        true
    }

    fn change(&mut self, now_ms: i64) {
        self.version += 1;
        // A clock that was set back must not make a change older than the one before.
        self.updated_at_ms = now_ms.max(self.updated_at_ms);
    }
}

/// An e-mail address: shown as it was given, and compared by its key.
///
/// The key is the whole address in Unicode form NFKC, then in lower case. The standard lets a mail server tell `Ada@` from
/// `ada@`, but none does, and two users whom people cannot tell apart are worse than one who is refused.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    given: String,
    key: String,
}

/// Why something is not an address that mail can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmail {
    #[error("is required")]
    Missing,
    #[error("must have at most {MAX_EMAIL_CHARACTERS} characters")]
    TooLong,
    #[error("must be an e-mail address such as ada@example.com")]
    NoAddress,
}

impl Email {
    /// Reads an address as it comes from outside; space around it is dropped.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(raw: &str) -> Result<Self, InvalidEmail> {
        let given = raw.trim();
        if given.is_empty() {
            return Err(InvalidEmail::Missing);
        }
        if is_longer(given, MAX_EMAIL_CHARACTERS) {
            return Err(InvalidEmail::TooLong);
        }
        // Not `Ada <ada@example.com>`, not a machine in our own network, not an IP address.
        let options = Options::default()
            .without_display_text()
            .without_domain_literal()
            .with_required_tld();
        EmailAddress::parse_with_options(given, options).map_err(|_| InvalidEmail::NoAddress)?;
        Ok(Self {
            given: given.to_owned(),
            key: Self::key_of(given),
        })
    }

    /// What an address is compared by, whether or not it is one.
    pub fn key_of(raw: &str) -> String {
        raw.trim().nfkc().collect::<String>().to_lowercase()
    }

    /// An address from the database, where it was valid when it was written.
    pub fn stored(given: String, key: String) -> Self {
        Self { given, key }
    }

    /// For people, and for sending.
    pub fn as_given(&self) -> &str {
        &self.given
    }

    /// Whether the local part is its own key but for the case of its letters. Where it is not, mail may go to another mailbox than
    /// to that of the key.
    pub fn is_plain(&self) -> bool {
        let local = |address: &str| {
            let (local, _) = address.rsplit_once('@').unwrap_or((address, ""));
            local.to_lowercase()
        };
        local(&self.given) == local(&self.key)
    }

    /// For comparing: no two users have the same.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Email([redacted])")
    }
}

/// The name by which a user is addressed.
#[derive(Clone, PartialEq, Eq)]
pub struct DisplayName(String);

/// Why nobody can be addressed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDisplayName {
    #[error("is required")]
    Missing,
    #[error("must have from 1 to {MAX_DISPLAY_NAME_CHARACTERS} characters")]
    TooLong,
}

impl DisplayName {
    /// Reads a name as it comes from outside; space around it is dropped.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(raw: &str) -> Result<Self, InvalidDisplayName> {
        let given = raw.trim();
        if given.is_empty() {
            return Err(InvalidDisplayName::Missing);
        }
        if is_longer(given, MAX_DISPLAY_NAME_CHARACTERS) {
            return Err(InvalidDisplayName::TooLong);
        }
        Ok(Self(given.to_owned()))
    }

    /// A name from the database, where it was valid when it was written.
    pub fn stored(name: String) -> Self {
        Self(name)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DisplayName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DisplayName([redacted])")
    }
}

fn is_longer(text: &str, characters: usize) -> bool {
    text.chars().nth(characters).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(raw: &str) -> String {
        Email::parse(raw).unwrap().key().to_owned()
    }

    #[test]
    fn a_new_user_has_version_one_and_was_never_changed() {
        let email = Email::parse("ada@example.com").unwrap();
        let name = DisplayName::parse("Ada").unwrap();
        let user = User::register(Uuid::nil(), email, name, 1_000);
        assert_eq!(
            (user.version, user.created_at_ms, user.updated_at_ms),
            (1, 1_000, 1_000)
        );
    }

    #[test]
    fn a_change_raises_the_version_and_what_changes_nothing_does_not() {
        let email = |raw: &str| Some(Email::parse(raw).unwrap());
        let name = |raw: &str| Some(DisplayName::parse(raw).unwrap());
        let (ada, lovelace) = (email("ada@example.com").unwrap(), name("Ada").unwrap());
        let mut user = User::register(Uuid::nil(), ada, lovelace, 1_000);
        assert!(user.verify_email(2_000) && !user.verify_email(3_000));
        assert_eq!((user.version, user.updated_at_ms), (2, 2_000));

        assert!(!user.update(email("ada@example.com"), name("Ada"), 4_000));
        assert!(user.update(email("ADA@example.com"), None, 5_000));
        assert!(!user.email_verified, "it may be another mailbox");
        assert!(user.verify_email(5_000));
        assert!(user.update(email("ada@example.org"), name("Countess"), 1_000));
        assert!(!user.email_verified);
        assert_eq!((user.version, user.updated_at_ms), (5, 5_000));
    }

    #[test]
    fn an_address_is_shown_as_given_without_the_space_around_it() {
        let email = Email::parse("  Ada.Lovelace@Example.COM\n").unwrap();
        assert_eq!(email.as_given(), "Ada.Lovelace@Example.COM");
    }

    #[test]
    fn addresses_that_people_cannot_tell_apart_have_one_key() {
        for (one, other) in [
            ("ada@example.com", "ADA@EXAMPLE.COM"),
            ("ada@example.com", " aDa@eXample.com "),
            // Full-width letters.
            ("ada@example.com", "ａｄａ@example.com"),
            // A ligature.
            ("o\u{fb03}ce@example.com", "OFFICE@example.com"),
            ("grüße@bücher.example", "GRÜßE@BÜCHER.EXAMPLE"),
        ] {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
        assert_ne!(key("ada@example.com"), key("ada@example.org"));
        assert_ne!(key("ada@example.com"), key("ada+news@example.com"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for raw in [
            "ada",
            "ada@",
            "@example.com",
            "ada@example",
            "ada@localhost",
            "ada@[127.0.0.1]",
            "ada@example..com",
            "ada@-example.com",
            "ada lovelace@example.com",
            "Ada <ada@example.com>",
            "<ada@example.com>",
            "ada@example.com\r\nBcc: all@example.com",
            "ada\0@example.com",
            "ada@example.com, bob@example.com",
        ] {
            assert_eq!(Email::parse(raw), Err(InvalidEmail::NoAddress), "{raw:?}");
        }
        for raw in ["", " \t\n"] {
            assert_eq!(Email::parse(raw), Err(InvalidEmail::Missing));
        }
    }

    #[test]
    fn an_address_may_have_254_characters() {
        let local = "a".repeat(64);
        let label = "b".repeat(62);
        let longest = format!("{local}@{label}.{label}.{label}");
        assert_eq!(longest.chars().count(), MAX_EMAIL_CHARACTERS - 1);
        assert!(Email::parse(&format!("{longest}b")).is_ok());
        assert_eq!(
            Email::parse(&format!("{longest}.b")),
            Err(InvalidEmail::TooLong)
        );
    }

    #[test]
    fn a_name_has_from_1_to_100_characters_however_many_bytes() {
        let longest = "ß".repeat(100);
        let name = DisplayName::parse(&format!(" {longest} ")).unwrap();
        assert_eq!(name.as_str(), longest);
        assert_eq!(
            DisplayName::parse(&format!("{longest}ß")),
            Err(InvalidDisplayName::TooLong)
        );
        assert_eq!(DisplayName::parse("  "), Err(InvalidDisplayName::Missing));
    }

    #[test]
    fn debug_shows_neither_address_nor_name() {
        let email = Email::parse("ada@example.com").unwrap();
        let name = DisplayName::parse("Lovelace").unwrap();
        let shown = format!("{:?}", User::register(Uuid::nil(), email, name, 0));
        assert!(
            !shown.contains("ada@") && !shown.contains("Lovelace"),
            "{shown}"
        );
    }
}
