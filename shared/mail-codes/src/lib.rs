//! Codes that reach a user by mail: one service seals a code, another one opens it for the mail.
//!
//! A code is bound to its user and its purpose. The event, a dead letter or a copy of either database does not reveal
//! it.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod args;

use runtime::sealed::{MasterKey, SealError, SealingKey};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

pub use args::MailSealingKeyArgs;

/// What a code can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Prove the ownership of an address.
    EmailVerification,
    /// To set a new password.
    PasswordReset,
}

/// Seals and opens codes.
#[derive(Clone)]
pub struct MailCodes {
    key: SealingKey,
}

impl MailCodes {
    /// With the key that both services share.
    pub fn new(mail_sealing_key: &MasterKey) -> Self {
        Self {
            key: mail_sealing_key.sealing_key("mail codes"),
        }
    }

    /// Seals the code of this user for this purpose.
    pub fn seal(
        &self,
        purpose: Purpose,
        user_id: Uuid,
        code: &SecretString,
    ) -> Result<Vec<u8>, SealError> {
        let code = code.expose_secret().as_bytes();
        self.key.seal(code, &context(purpose, user_id))
    }

    /// Opens what [`seal`](Self::seal) made for the same user and purpose.
    ///
    /// # Errors
    /// [`SealError::NotOurs`] otherwise.
    pub fn open(
        &self,
        purpose: Purpose,
        user_id: Uuid,
        sealed: &[u8],
    ) -> Result<SecretString, SealError> {
        let code = self.key.open(sealed, &context(purpose, user_id))?;
        let code = String::from_utf8(code).map_err(|_| SealError::NotOurs)?;
        Ok(SecretString::from(code))
    }
}

fn context(purpose: Purpose, user_id: Uuid) -> String {
    let purpose = match purpose {
        Purpose::EmailVerification => "email verification",
        Purpose::PasswordReset => "password reset",
    };
    format!("{purpose} of {user_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_opened_for_its_user_and_its_purpose_only() {
        let codes = MailCodes::new(&MasterKey::well_known("MAIL_SEALING_KEY"));
        let (ada, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let code = SecretString::from("ABCD-EFGH");
        let sealed = codes.seal(Purpose::PasswordReset, ada, &code).unwrap();
        let opened = codes.open(Purpose::PasswordReset, ada, &sealed).unwrap();
        assert_eq!(opened.expose_secret(), "ABCD-EFGH");
        for (purpose, user_id) in [
            (Purpose::PasswordReset, bob),
            (Purpose::EmailVerification, ada),
        ] {
            let refused = codes.open(purpose, user_id, &sealed);
            assert_eq!(refused.err(), Some(SealError::NotOurs));
        }
    }
}
