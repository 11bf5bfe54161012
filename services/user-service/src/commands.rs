//! The commands: each is one transaction with the new state and its event.
//!
//! [`registration`] creates accounts and verifies addresses; [`account`] changes them; [`login`] and [`sessions`]
//! handle sessions; [`recovery`] resets passwords. [`passwords`], [`roles`] and [`places`] let a user notice what
//! another person does with the account.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use contracts::user::v1::{EmailVerificationRequested, UserUpdated};
use mail_codes::{MailCodes, Purpose};
use messaging::{Cause, Transaction, outbox};
use runtime::Clock;
use runtime::auth::{Caller, Role};
use sea_orm::{ConnectionTrait, DbErr};
use secrecy::SecretString;
use service::{CommandStore, time, unreadable};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::error::Error;
use crate::hasher::{HashError, Hasher, Priority, Verdict};
use crate::keys::Keys;
use crate::password::{Attempt, PasswordHash};
use crate::places::Places;
use crate::secret;
use crate::store::{self, codes};
use crate::throttle::{MAILS, Throttle};
use crate::user::{Email, User};

mod account;
mod login;
mod passwords;
mod places;
mod recovery;
mod registration;
pub mod roles;
mod sessions;

pub use account::{Changes, Deletion};
pub use login::{LoggedIn, SESSION, Tokens};
pub use recovery::RESET_CODE;
pub use registration::Verified;

pub const VERIFICATION_CODE: Duration = Duration::from_secs(24 * 3600);

/// Beside the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    None,
    Token,
    /// From a mail to the account.
    Code,
}

#[derive(Clone)]
pub struct Commands {
    pub store: CommandStore,
    pub hasher: Hasher,
    pub clock: Arc<dyn Clock>,
    pub keys: Arc<Keys>,
    pub throttle: Throttle,
    pub mail_codes: MailCodes,
    pub places: Places,
    /// The keys of the addresses that are admins after verification.
    pub admins: Arc<BTreeSet<String>>,
    /// As `admins`.
    pub operators: Arc<BTreeSet<String>>,
}

impl Commands {
    /// The rights of the user. An address that equals an admin's only after normalisation, such as one with full-width
    /// letters, may be another person's mailbox.
    pub fn role_of(&self, user: &User) -> Role {
        if !user.email_verified || !user.email.is_plain() {
            return Role::User;
        }
        let key = user.email.key();
        match (self.admins.contains(key), self.operators.contains(key)) {
            (true, _) => Role::Admin,
            (false, true) => Role::Operator,
            (false, false) => Role::User,
        }
    }

    pub async fn get_user(&self, caller: Caller, user_id: Uuid) -> Result<User, Error> {
        store::find_user(self.store.connection(), user_id)
            .await?
            .ok_or_else(|| missing(caller, user_id))
    }

    /// Newest first: `limit` of those before `before`.
    pub async fn list_users(&self, before: Option<Uuid>, limit: u64) -> Result<Vec<User>, Error> {
        let listed = store::list_users(self.store.connection(), before, limit).await;
        Ok(listed?)
    }

    /// Counts like a login.
    async fn check_password(
        &self,
        user: &User,
        hash: PasswordHash,
        attempt: Attempt,
        address: &str,
    ) -> Result<(), Error> {
        match self
            .judge(Proof::Token, user.email.key(), Some(hash), attempt, address)
            .await?
        {
            Verdict::Right { .. } => Ok(()),
            Verdict::Wrong => {
                tracing::warn!(target: "security", event = "password_wrong", user_id = %user.id, address);
                Err(Error::PasswordWrong)
            }
        }
    }

    /// Counts an attempt to log in to `account`, and checks it. An attempt that was not checked, because the queue is
    /// full or the caller left it, does not count.
    ///
    /// A check that has begun continues without its caller: otherwise cancelling would avoid the count.
    async fn judge(
        &self,
        proof: Proof,
        account: &str,
        hash: Option<PasswordHash>,
        attempt: Attempt,
        address: &str,
    ) -> Result<Verdict, Error> {
        let (throttle, hasher) = (self.throttle.clone(), self.hasher.clone());
        let (account, address) = (account.to_owned(), address.to_owned());
        let gone = CancellationToken::new();
        let _here = gone.clone().drop_guard();
        let judging = async move {
            let has_code = proof == Proof::Code;
            let login = throttle.begin_login(&account, &address, has_code).await?;
            let is_known = proof != Proof::None || login.is_from_known_address();
            let priority = match is_known {
                true => Priority::Known,
                false => Priority::Login,
            };
            let verdict = match gone.run_until_cancelled(hasher.turn(priority)).await {
                Some(Ok(turn)) => turn.verify(attempt, hash).await,
                Some(Err(error)) => Err(error),
                None => Err(HashError::Busy),
            };
            match verdict {
                Ok(Verdict::Wrong) => {}
                Ok(Verdict::Right { .. }) => throttle.succeeded(login).await?,
                Err(_) => throttle.take_back(login).await?,
            }
            Ok(verdict?)
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends with its hash; if the process ends earlier, the attempt stays counted"
        )]
        let judging = tokio::spawn(judging.in_current_span());
        judging.await.map_err(HashError::broken)?
    }

    /// In the transaction that enqueues the mail. Last, because other transactions wait for the counter.
    async fn count_mail_to(&self, transaction: &Transaction, email: &Email) -> Result<(), Error> {
        let mailbox = email.mailbox();
        let counted = self.throttle.take_in(transaction, MAILS, &mailbox).await;
        Ok(counted?)
    }

    async fn request_verification(
        &self,
        transaction: &Transaction,
        user: &User,
        cause: &Cause,
    ) -> Result<(), Error> {
        let (code, expires_at_ms) = self
            .new_code(
                transaction,
                Purpose::EmailVerification,
                user,
                VERIFICATION_CODE,
            )
            .await?;
        let requested = EmailVerificationRequested {
            verification_id: Uuid::now_v7().to_string(),
            user_id: user.id.to_string(),
            email: user.email.as_given().to_owned(),
            display_name: user.display_name.as_str().to_owned(),
            sealed_code: self
                .mail_codes
                .seal(Purpose::EmailVerification, user.id, &code)?,
            expire_time: Some(time::timestamp(expires_at_ms)),
        };
        outbox::enqueue(transaction, &requested, 1, cause)?;
        Ok(())
    }

    /// Stored as a digest; it replaces the previous one.
    async fn new_code(
        &self,
        transaction: &Transaction,
        purpose: Purpose,
        user: &User,
        lifetime: Duration,
    ) -> Result<(SecretString, i64), Error> {
        let code = secret::new_code()?;
        let expires_at_ms = self.clock.now_ms() + runtime::millis(lifetime);
        codes::replace(
            transaction,
            purpose,
            user.id,
            &secret::code_digest(&code),
            user.email.key(),
            expires_at_ms,
        )
        .await?;
        Ok((code, expires_at_ms))
    }
}

/// `replaced`: the address before, if it has changed.
async fn write_change(
    transaction: &Transaction,
    user: &User,
    replaced: Option<&Email>,
    cause: &Cause,
) -> Result<(), Error> {
    store::update_user(transaction, user).await?;
    let previous_email = replaced.map_or("", Email::as_given).to_owned();
    let updated = UserUpdated {
        user_id: user.id.to_string(),
        email: user.email.as_given().to_owned(),
        display_name: user.display_name.as_str().to_owned(),
        update_time: Some(time::timestamp(user.updated_at_ms)),
        previous_email,
    };
    outbox::enqueue(transaction, &updated, user.version, cause)?;
    Ok(())
}

async fn answered_user(db: &impl ConnectionTrait, first: &[u8]) -> Result<User, Error> {
    let user_id = Uuid::from_slice(first).map_err(|_| unreadable_answer())?;
    store::find_user(db, user_id)
        .await?
        .ok_or(Error::UserNotFound(user_id))
}

fn unreadable_answer() -> DbErr {
    unreadable("idempotency.response")
}

/// Only an admin learns that a user does not exist.
fn missing(caller: Caller, user_id: Uuid) -> Error {
    if caller.is_admin() {
        Error::UserNotFound(user_id)
    } else {
        Error::NotAllowed
    }
}
