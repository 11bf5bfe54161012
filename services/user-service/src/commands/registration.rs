//! Registration, and verification of addresses.

use contracts::user::v1::UserCreated;
use mail_codes::Purpose;
use messaging::{Cause, outbox};
use runtime::auth::Caller;
use runtime::idempotency::Call;
use sea_orm::ConnectionTrait;
use secrecy::SecretString;
use service::{Begun, time};
use uuid::{NoContext, Timestamp, Uuid};

use super::{Commands, missing, unreadable_answer, write_change};
use crate::error::Error;
use crate::hasher::Priority;
use crate::password::Password;
use crate::store::codes;
use crate::throttle::{CODES, MAILS, REGISTRATIONS};
use crate::user::{DisplayName, Email, User};
use crate::{secret, store};

pub enum Verified {
    /// As in the first answer.
    Now(User),
    /// The user has changed or was deleted since the first call. The call has no token, so it shows no more than the
    /// first answer did.
    Before(Uuid),
}

impl Commands {
    /// A repeated `call` gets the user of the first one.
    pub async fn create_user(
        &self,
        email: Email,
        password: Password,
        display_name: DisplayName,
        address: &str,
        call: Option<&Call>,
        cause: &Cause,
    ) -> Result<User, Error> {
        // Built from the request and the stored id: the user may have another address and name by now, and the call has
        // no token.
        let registered = |first: &[u8]| {
            let id = Uuid::from_slice(first).map_err(|_| unreadable_answer())?;
            let created_at_ms = created_at_ms(id).ok_or_else(unreadable_answer)?;
            let (email, name) = (email.clone(), display_name.clone());
            Ok(User::register(id, email, name, created_at_ms))
        };
        if let Some(first) = self.store.answered(call).await? {
            return registered(&first);
        }
        self.throttle.check(REGISTRATIONS, address).await?;
        // Before the transaction, because it takes long: neither a connection nor SQLite's only writer may wait for it.
        let password_hash = self.hasher.hash(password, Priority::Registration).await?;
        let now_ms = self.clock.now_ms();
        let user = User::register(new_id(now_ms), email.clone(), display_name.clone(), now_ms);
        // Only the id, which contains the time: personal data stays in one place, where it can be erased.
        let answer = || user.id.as_bytes().to_vec();
        let command = match self.store.begin_answered(call, answer).await? {
            Begun::Replay(first) => return registered(&first),
            Begun::Fresh(command) => command,
        };
        if let Err(error) = store::insert_user(&*command, &user, &password_hash).await {
            // Only the attempt stays: this answer reveals something.
            command.rollback().await?;
            self.throttle.take(REGISTRATIONS, address).await?;
            tracing::warn!(target: "security", event = "registration_refused", address, %error);
            return Err(error.into());
        }
        let created = UserCreated {
            user_id: user.id.to_string(),
            email: user.email.as_given().to_owned(),
            display_name: user.display_name.as_str().to_owned(),
            create_time: Some(time::timestamp(user.created_at_ms)),
        };
        outbox::enqueue(&command, &created, user.version, cause)?;
        self.request_verification(&command, &user, cause).await?;
        self.count_mail_to(&command, &user.email).await?;
        self.throttle
            .take_in(&command, REGISTRATIONS, address)
            .await?;
        command.commit().await?;
        tracing::info!(target: "security", event = "user_registered", user_id = %user.id, address);
        Ok(user)
    }

    pub async fn request_email_verification(
        &self,
        caller: Caller,
        call: Option<&Call>,
        cause: &Cause,
    ) -> Result<(), Error> {
        if self.store.answered(call).await?.is_some() {
            return Ok(());
        }
        let user = self.get_user(caller, caller.user_id).await?;
        self.throttle.take(MAILS, &user.email.mailbox()).await?;
        let Begun::Fresh(command) = self.store.begin_answered(call, Vec::new).await? else {
            return Ok(());
        };
        let user = store::lock_user(&*command, caller.user_id)
            .await?
            .ok_or_else(|| missing(caller, caller.user_id))?
            .user;
        if user.email_verified {
            return Err(Error::EmailVerified);
        }
        self.request_verification(&command, &user, cause).await?;
        command.commit().await?;
        Ok(())
    }

    /// The owner of the code owns the address that it was sent to.
    pub async fn verify_email(
        &self,
        code: &SecretString,
        address: &str,
        call: Option<&Call>,
        cause: &Cause,
    ) -> Result<Verified, Error> {
        let db = self.store.connection();
        if let Some(first) = self.store.answered(call).await? {
            return verified(db, &first).await;
        }
        self.throttle.take(CODES, address).await?;
        let digest = secret::code_digest(code);
        let now_ms = self.clock.now_ms();
        let command = match self.store.begin(call).await? {
            Begun::Replay(first) => return verified(db, &first).await,
            Begun::Fresh(command) => command,
        };
        let purpose = Purpose::EmailVerification;
        let found = codes::find(&*command, purpose, &digest, now_ms).await?;
        let (user_id, sent_to) = found.ok_or(Error::CodeInvalid)?;
        let locked = store::lock_user(&*command, user_id).await?;
        let mut user = locked.ok_or(Error::CodeInvalid)?.user;
        // Another call may have used the code meanwhile.
        let is_left = codes::find(&*command, purpose, &digest, now_ms).await?;
        if is_left.is_none() || user.email.key() != sent_to {
            return Err(Error::CodeInvalid);
        }
        codes::delete(&*command, purpose, user_id).await?;
        if user.verify_email(now_ms) {
            write_change(&command, &user, None, cause).await?;
            self.announce_role(&command, &mut user, cause).await?;
        }
        let mut answer = user.id.as_bytes().to_vec();
        answer.extend(user.version.to_be_bytes());
        command.commit_with(answer).await?;
        tracing::info!(target: "security", event = "email_verified", %user_id, address);
        Ok(Verified::Now(user))
    }
}

/// It contains the time of the creation, so the two never differ.
fn new_id(now_ms: i64) -> Uuid {
    let ms = u64::try_from(now_ms).unwrap_or(0);
    let nanos = u32::try_from(ms % 1_000 * 1_000_000).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, ms / 1_000, nanos))
}

fn created_at_ms(id: Uuid) -> Option<i64> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    i64::try_from(seconds * 1_000 + u64::from(nanos) / 1_000_000).ok()
}

async fn verified(db: &impl ConnectionTrait, first: &[u8]) -> Result<Verified, Error> {
    let (id, version) = first.split_at_checked(16).ok_or_else(unreadable_answer)?;
    let user_id = Uuid::from_slice(id).map_err(|_| unreadable_answer())?;
    // The previous release stored no version.
    let version = <[u8; 8]>::try_from(version).ok().map(i64::from_be_bytes);
    let user = store::find_user(db, user_id).await?;
    Ok(match user.filter(|user| version == Some(user.version)) {
        Some(user) => Verified::Now(user),
        None => Verified::Before(user_id),
    })
}
