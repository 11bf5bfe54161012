//! Recovery of an account with a forgotten password. A request does not reveal whether the address is registered: the
//! answer and its duration are the same.

use std::time::Duration;

use contracts::user::v1::PasswordResetRequested;
use mail_codes::Purpose;
use messaging::{Cause, outbox};
use runtime::idempotency::Call;
use secrecy::SecretString;
use service::{Begun, time};
use tokio::time::Instant;
use uuid::Uuid;

use super::Commands;
use crate::error::Error;
use crate::hasher::Priority;
use crate::password::Password;
use crate::secret;
use crate::store::{self, codes};
use crate::throttle::{CODES, RESETS};
use crate::user::Email;

pub const RESET_CODE: Duration = Duration::from_secs(3600);
/// Longer than the statements that differ between a registered and another address.
const ANSWER_AFTER: Duration = Duration::from_millis(150);

impl Commands {
    /// The user with this address, if there is one, gets a mail.
    pub async fn request_password_reset(
        &self,
        email: &Email,
        address: &str,
        call: Option<&Call>,
        cause: &Cause,
    ) -> Result<(), Error> {
        let begun = Instant::now();
        let requested = self.reset_if_known(email, address, call, cause).await;
        tokio::time::sleep_until(begun + ANSWER_AFTER).await;
        requested
    }

    /// Ends all sessions of the owner of the code.
    pub async fn reset_password(
        &self,
        code: &SecretString,
        new: Password,
        address: &str,
        call: Option<&Call>,
        cause: &Cause,
    ) -> Result<(), Error> {
        let db = self.store.connection();
        if self.store.answered(call).await?.is_some() {
            return Ok(());
        }
        self.throttle.take(CODES, address).await?;
        let (digest, purpose) = (secret::code_digest(code), Purpose::PasswordReset);
        let now_ms = self.clock.now_ms();
        // Before the password is hashed, because a hash is expensive.
        let found = codes::find(db, purpose, &digest, now_ms).await?;
        let Some((user_id, _)) = found else {
            tracing::warn!(target: "security", event = "reset_code_refused", address);
            return Err(Error::CodeInvalid);
        };
        let hash = self.hasher.hash(new, Priority::Known).await?;
        let Begun::Fresh(command) = self.store.begin_answered(call, Vec::new).await? else {
            return Ok(());
        };
        let locked = store::lock_user(&*command, user_id).await?;
        let user = locked.ok_or(Error::CodeInvalid)?.user;
        // Another call may have used the code meanwhile.
        let found = codes::find(&*command, purpose, &digest, now_ms).await?;
        if found.is_none_or(|(_, sent_to)| sent_to != user.email.key()) {
            return Err(Error::CodeInvalid);
        }
        let account = user.email.key().to_owned();
        let ended = self.set_password(&command, user, &hash, cause).await?;
        self.throttle.proved(&command, &account, address).await?;
        command.commit().await?;
        tracing::info!(target: "security", event = "password_reset", %user_id, address, ended);
        Ok(())
    }

    async fn reset_if_known(
        &self,
        email: &Email,
        address: &str,
        call: Option<&Call>,
        cause: &Cause,
    ) -> Result<(), Error> {
        if self.store.answered(call).await?.is_some() {
            return Ok(());
        }
        self.throttle.take(CODES, address).await?;
        self.throttle.take(RESETS, &email.mailbox()).await?;
        let Begun::Fresh(command) = self.store.begin_answered(call, Vec::new).await? else {
            return Ok(());
        };
        let found = store::find_by_email(&*command, email.key()).await?;
        let locked = match found {
            // Two requests at once must not both write the only code.
            Some(found) => store::lock_user(&*command, found.user.id).await?,
            None => None,
        };
        if let Some(locked) = locked {
            let (user, purpose) = (locked.user, Purpose::PasswordReset);
            let (code, expires_at_ms) = self.new_code(&command, purpose, &user, RESET_CODE).await?;
            let requested = PasswordResetRequested {
                reset_id: Uuid::now_v7().to_string(),
                user_id: user.id.to_string(),
                email: user.email.as_given().to_owned(),
                display_name: user.display_name.as_str().to_owned(),
                sealed_code: self.mail_codes.seal(purpose, user.id, &code)?,
                expire_time: Some(time::timestamp(expires_at_ms)),
            };
            outbox::enqueue(&command, &requested, 1, cause)?;
        }
        command.commit().await?;
        let account = self.throttle.digest(email.key());
        tracing::info!(target: "security", event = "password_reset_requested", account, address);
        Ok(())
    }
}
