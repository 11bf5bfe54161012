//! E-mail addresses: which are valid, and which are the same mailbox.
//!
//! The domain is compared in its IDNA form (UTS 46, ASCII): `bücher.example` is `xn--bcher-kva.example`.

use std::fmt;

use email_address::{EmailAddress, Options};
use unicode_normalization::UnicodeNormalization as _;

use super::is_longer;

/// A path in SMTP, without angle brackets (RFC 5321, erratum 1690).
pub const MAX_EMAIL_CHARACTERS: usize = 254;

/// Shown as given, compared by its key.
///
/// The key is the local part in Unicode form NFKC and lower case, and the domain in ASCII. The standard allows a mail
/// server to distinguish `Ada@` from `ada@`, but none does.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    given: String,
    key: String,
}

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
    /// Removes surrounding space.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(raw: &str) -> Result<Self, InvalidEmail> {
        let given = raw.trim();
        if given.is_empty() {
            return Err(InvalidEmail::Missing);
        }
        if is_longer(given, MAX_EMAIL_CHARACTERS) {
            return Err(InvalidEmail::TooLong);
        }
        // Not `Ada <ada@example.com>`, no local machine, no IP address.
        let options = Options::default()
            .without_display_text()
            .without_domain_literal()
            .with_required_tld();
        let (local, domain) = given.rsplit_once('@').ok_or(InvalidEmail::NoAddress)?;
        let domain = registrable(domain).ok_or(InvalidEmail::NoAddress)?;
        // Another spelling of the same mailbox.
        if local.starts_with('"') {
            return Err(InvalidEmail::NoAddress);
        }
        EmailAddress::parse_with_options(&format!("{local}@{domain}"), options)
            .map_err(|_| InvalidEmail::NoAddress)?;
        Ok(Self {
            given: given.to_owned(),
            key: Self::key_of(given),
        })
    }

    /// Also of an invalid address. PostgreSQL stores no NUL.
    pub fn key_of(raw: &str) -> String {
        let folded = raw.trim().nfkc().collect::<String>().to_lowercase();
        let folded = folded.replace('\0', "\u{fffd}");
        let Some((local, domain)) = folded.rsplit_once('@') else {
            return folded;
        };
        match idna::domain_to_ascii_strict(domain) {
            Ok(domain) => format!("{local}@{domain}"),
            Err(_) => folded,
        }
    }

    /// For counting mails: the key without a sub-address. With most providers, `ada+1@` and `ada+2@` go to `ada@`.
    pub fn mailbox(&self) -> String {
        let (local, domain) = self.key.rsplit_once('@').unwrap_or((&self.key, ""));
        let (name, _) = local.split_once('+').unwrap_or((local, ""));
        format!("{name}@{domain}")
    }

    /// Valid when it was written.
    pub fn stored(given: String, key: String) -> Self {
        Self { given, key }
    }

    /// For people, and for sending.
    pub fn as_given(&self) -> &str {
        &self.given
    }

    /// Whether the local part equals its key, ignoring case. If not, mail may go to another mailbox.
    pub fn is_plain(&self) -> bool {
        let local = |address: &str| {
            let (local, _) = address.rsplit_once('@').unwrap_or((address, ""));
            local.to_lowercase()
        };
        local(&self.given) == local(&self.key)
    }

    /// Unique among users.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Email([redacted])")
    }
}

/// In ASCII, if it can exist in the public DNS. The last label of an IP address, in any notation, begins with a digit;
/// that of a public domain never does.
fn registrable(domain: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii_strict(domain).ok()?;
    let last = ascii.rsplit('.').next().unwrap_or_default();
    last.starts_with(|letter: char| letter.is_ascii_alphabetic())
        .then_some(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(raw: &str) -> String {
        Email::parse(raw).unwrap().key().to_owned()
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
    fn a_domain_has_one_key_in_unicode_and_in_ascii() {
        for (one, other) in [
            ("a@bücher.example", "a@xn--bcher-kva.example"),
            ("a@bücher.example", "A@BÜCHER.example"),
            ("a@bücher.example", "a@bu\u{308}cher.example"),
            ("a@example.com", "a@ｅxample.com"),
            ("grüße@bücher.example", "grüße@XN--BCHER-KVA.example"),
        ] {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
        assert_eq!(key("a@bücher.example"), "a@xn--bcher-kva.example");
        assert_ne!(key("a@bücher.example"), key("a@bucher.example"));
    }

    #[test]
    fn an_ip_address_in_any_notation_is_no_domain() {
        for domain in [
            "10.0.0.5",
            "1.2",
            "example.123",
            "0x7f.1",
            "example.0x1",
            "１０.0.0.5",
            "xn--a.example",
            "a_b.example",
        ] {
            let raw = format!("ada@{domain}");
            assert_eq!(Email::parse(&raw), Err(InvalidEmail::NoAddress), "{raw}");
        }
        let quoted = Email::parse("\"ada\"@example.com");
        assert_eq!(quoted, Err(InvalidEmail::NoAddress));
        assert!(Email::parse("ada@1.example").is_ok());
    }

    #[test]
    fn sub_addresses_share_a_mailbox_and_no_key() {
        let mailbox = |raw: &str| Email::parse(raw).unwrap().mailbox();
        assert_eq!(mailbox("Mark+1@example.com"), "mark@example.com");
        assert_eq!(
            mailbox("mark+1+2@bücher.example"),
            mailbox("mark@xn--bcher-kva.example")
        );
        assert_ne!(key("mark+1@example.com"), key("mark+2@example.com"));
    }
}
