//! The aggregate: a user, and the rules for address and name. Pure.
//!
//! Each change raises the version by one; each version is one event. `Debug` shows neither address nor name.

use uuid::Uuid;

mod display_name;
mod email;

pub use display_name::{DisplayName, InvalidDisplayName, MAX_DISPLAY_NAME_CHARACTERS};
pub use email::{Email, InvalidEmail, MAX_EMAIL_CHARACTERS};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: Uuid,
    pub email: Email,
    pub email_verified: bool,
    pub display_name: DisplayName,
    /// 1 when registered, plus one per change.
    pub version: i64,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

impl User {
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

    /// `false` if it already was.
    pub fn verify_email(&mut self, now_ms: i64) -> bool {
        if self.email_verified {
            return false;
        }
        self.email_verified = true;
        self.change(now_ms);
        true
    }

    /// An address that differs in any character, also in case, must be verified again, because it may be another
    /// mailbox. `false` if nothing changes.
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

    /// Of the password or of the rights: it takes a version as well.
    pub fn change(&mut self, now_ms: i64) {
        self.version += 1;
        // A clock that was set back must not make a change older than the previous one.
        self.updated_at_ms = now_ms.max(self.updated_at_ms);
    }
}

fn is_longer(text: &str, characters: usize) -> bool {
    text.chars().nth(characters).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn only_a_real_change_raises_the_version() {
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
