//! Changes of users by themselves, and of any user by admins.

use contracts::user::v1::UserDeleted;
use mail_codes::Purpose;
use messaging::{Cause, outbox};
use runtime::auth::Caller;
use runtime::etag;
use runtime::idempotency::Call;
use service::{Begun, time};
use uuid::Uuid;

use super::{Commands, answered_user, missing, write_change};
use crate::error::Error;
use crate::hasher::Priority;
use crate::password::{Attempt, Password};
use crate::store::{self, announced_roles, codes, known_places, sessions};
use crate::throttle::{MOVES, PASSWORDS};
use crate::user::{DisplayName, Email, User};

pub struct Changes {
    pub email: Option<Email>,
    pub display_name: Option<DisplayName>,
    /// As the caller has read it; empty if not checked.
    pub etag: String,
    /// For a new address.
    pub current_password: Attempt,
}

pub struct Deletion {
    pub user_id: Uuid,
    /// As the caller has read it; empty if not checked.
    pub etag: String,
    pub current_password: Attempt,
}

impl Commands {
    pub async fn update_user(
        &self,
        caller: Caller,
        user_id: Uuid,
        changes: Changes,
        address: &str,
        call: Option<&Call>,
        cause: &Cause,
    ) -> Result<User, Error> {
        let db = self.store.connection();
        if let Some(first) = self.store.answered(call).await? {
            return answered_user(db, &first).await;
        }
        let Changes {
            email,
            display_name,
            etag,
            current_password,
        } = changes;
        let before = store::find_credentials(db, user_id).await?;
        let before = before.ok_or_else(|| missing(caller, user_id))?;
        etag::check(&etag, before.user.version)?;
        let moves = email
            .as_ref()
            .is_some_and(|email| *email != before.user.email);
        if moves {
            // A missing password is not an attempt.
            if current_password.expose().is_empty() {
                return Err(Error::PasswordMissing);
            }
            self.check_password(
                &before.user,
                before.password_hash,
                current_password,
                address,
            )
            .await?;
            self.throttle.take(MOVES, &user_id.to_string()).await?;
        }

        let answer = || user_id.as_bytes().to_vec();
        let command = match self.store.begin_answered(call, answer).await? {
            Begun::Replay(first) => return answered_user(db, &first).await,
            Begun::Fresh(command) => command,
        };
        let locked = store::lock_user(&*command, user_id).await?;
        let mut user = locked.ok_or_else(|| missing(caller, user_id))?.user;
        etag::check(&etag, user.version)?;
        // The password was checked for this state of the user.
        if user.email != before.user.email {
            return Err(Error::Raced);
        }
        if user.update(email, display_name, self.clock.now_ms()) {
            let replaced = moves.then_some(&before.user.email);
            write_change(&command, &user, replaced, cause).await?;
        }
        if moves {
            self.announce_role(&command, &mut user, cause).await?;
            codes::delete(&*command, Purpose::PasswordReset, user_id).await?;
            self.request_verification(&command, &user, cause).await?;
            self.count_mail_to(&command, &user.email).await?;
        }
        command.commit().await?;
        if moves {
            tracing::info!(target: "security", event = "email_changed", %user_id, address);
        }
        Ok(user)
    }

    /// Ends all sessions of the caller.
    pub async fn change_password(
        &self,
        caller: Caller,
        current: Attempt,
        new: Password,
        address: &str,
        call: Option<&Call>,
        cause: &Cause,
    ) -> Result<(), Error> {
        let db = self.store.connection();
        if self.store.answered(call).await?.is_some() {
            return Ok(());
        }
        let user_id = caller.user_id;
        let before = store::find_credentials(db, user_id).await?;
        let before = before.ok_or_else(|| missing(caller, user_id))?;
        let checked = before.password_hash.expose().to_owned();
        self.check_password(&before.user, before.password_hash, current, address)
            .await?;
        let hash = self.hasher.hash(new, Priority::Known).await?;
        let Begun::Fresh(command) = self.store.begin_answered(call, Vec::new).await? else {
            return Ok(());
        };
        let locked = store::lock_user(&*command, user_id).await?;
        let locked = locked.ok_or_else(|| missing(caller, user_id))?;
        if locked.password_hash.expose() != checked {
            return Err(Error::Raced);
        }
        let mailbox = Self::counted_as(&locked.user);
        let ended = self
            .set_password(&command, locked.user, &hash, cause)
            .await?;
        self.throttle.take_in(&command, PASSWORDS, &mailbox).await?;
        command.commit().await?;
        tracing::info!(target: "security", event = "password_changed", %user_id, address, ended);
        Ok(())
    }

    /// Deletes an account with all personal data. This is final, so the caller needs an existing session and the
    /// password.
    pub async fn delete_user(
        &self,
        caller: Caller,
        deletion: Deletion,
        address: &str,
        call: Option<&Call>,
        cause: &Cause,
    ) -> Result<(), Error> {
        if self.store.answered(call).await?.is_some() {
            return Ok(());
        }
        let Deletion {
            user_id,
            etag,
            current_password,
        } = deletion;
        let db = self.store.connection();
        let own = store::find_credentials(db, caller.user_id).await?;
        let own = own.ok_or(Error::NotAllowed)?;
        self.check_session(db, caller).await?;
        if current_password.expose().is_empty() {
            return Err(Error::PasswordMissing);
        }
        self.check_password(&own.user, own.password_hash, current_password, address)
            .await?;
        let now_ms = self.clock.now_ms();
        let Begun::Fresh(command) = self.store.begin_answered(call, Vec::new).await? else {
            return Ok(());
        };
        let locked = store::lock_user(&*command, user_id).await?;
        let user = locked.ok_or_else(|| missing(caller, user_id))?.user;
        etag::check(&etag, user.version)?;
        // Under the lock: a reset may have ended the session meanwhile.
        self.check_session(&*command, caller).await?;
        sessions::delete_of_user(&*command, user_id).await?;
        for purpose in [Purpose::EmailVerification, Purpose::PasswordReset] {
            codes::delete(&*command, purpose, user_id).await?;
        }
        known_places::delete_of_user(&*command, user_id).await?;
        announced_roles::delete(&*command, user_id).await?;
        store::delete_user(&*command, user_id).await?;
        let deleted = UserDeleted {
            user_id: user_id.to_string(),
            delete_time: Some(time::timestamp(now_ms)),
        };
        outbox::erase(&command, &deleted.user_id).await?;
        outbox::enqueue(&command, &deleted, user.version + 1, cause)?;
        command.commit().await?;
        tracing::info!(target: "security", event = "user_deleted", %user_id, by = %caller.user_id);
        Ok(())
    }
}
