//! Login, refresh and logout.
//!
//! A session is a chain of refresh tokens, of which one is valid. A second use of a token means that it was copied. It
//! is unknown who has the copy, so the session ends for both.

use std::time::Duration;

use mail_codes::Purpose;
use messaging::Cause;
use runtime::auth::{AccessToken, Caller};
use runtime::millis;
use secrecy::SecretString;
use uuid::Uuid;

use super::{Commands, Proof};
use crate::error::Error;
use crate::hasher::Verdict;
use crate::password::Attempt;
use crate::places::Place;
use crate::secret;
use crate::store::{self, Credentials, codes, sessions};
use crate::throttle::CODES;
use crate::user::{Email, User};

const REFRESH_TOKEN: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a session may last without the password.
pub const SESSION: Duration = Duration::from_secs(90 * 24 * 3600);

pub struct Tokens {
    pub access: AccessToken,
    pub refresh: SecretString,
    pub refresh_expires_at_ms: i64,
}

pub struct LoggedIn {
    pub user: User,
    pub tokens: Tokens,
}

impl Commands {
    /// With a code from a mail to the address, failures of other clients do not delay the login; the code is then used
    /// up. A user who logs in from a new `place` gets a mail.
    pub async fn authenticate(
        &self,
        email: &str,
        password: SecretString,
        code: Option<SecretString>,
        (address, place): (&str, &Place),
        cause: &Cause,
    ) -> Result<LoggedIn, Error> {
        let account = Email::key_of(email);
        let proof = match &code {
            Some(code) => self.check_login_code(code, &account, address).await?,
            None => Proof::None,
        };
        let found = store::find_by_email(self.store.connection(), &account).await?;
        let (user, hash) = match found {
            Some(found) => (Some(found.user), Some(found.password_hash)),
            None => (None, None),
        };
        let verified = hash.as_ref().map(|hash| hash.expose().to_owned());
        // Also without a user: the duration must not reveal whether one exists.
        let attempt = Attempt::new(password);
        let judged = self.judge(proof, &account, hash, attempt, address).await;
        if let Err(error @ Error::TooManyAttempts(_)) = &judged {
            let account = self.throttle.digest(&account);
            tracing::warn!(target: "security", event = "login_throttled", account, address, %error);
        }
        let verdict = judged?;
        let (Some(user), Verdict::Right { rehashed }) = (user, verdict) else {
            let account = self.throttle.digest(&account);
            tracing::warn!(target: "security", event = "login_failed", account, address);
            return Err(Error::CredentialsInvalid);
        };
        let now_ms = self.clock.now_ms();
        let transaction = self.store.begin_unrepeatable().await?;
        // Locked and read again: a password change meanwhile has ended all sessions, and this one must not start after
        // that.
        let current = store::lock_user(&transaction, user.id).await?;
        let is_same = |now: &Credentials| Some(now.password_hash.expose()) == verified.as_deref();
        let current = current.filter(is_same).ok_or(Error::CredentialsInvalid)?;
        if let Some(hash) = rehashed {
            store::write_password(&transaction, user.id, &hash).await?;
        }
        if proof == Proof::Code {
            codes::delete(&transaction, Purpose::PasswordReset, user.id).await?;
        }
        let session_id = Uuid::now_v7();
        let ends_at_ms = now_ms + millis(SESSION);
        let times = (now_ms, ends_at_ms);
        sessions::insert_session(&transaction, session_id, user.id, times, address).await?;
        let user = current.user;
        let tokens = self
            .next_tokens(&transaction, &user, session_id, ends_at_ms)
            .await?;
        self.note_place(&transaction, &user, session_id, place, cause)
            .await?;
        transaction.commit().await?;
        tracing::info!(target: "security", event = "login_succeeded", user_id = %user.id, address);
        Ok(LoggedIn { user, tokens })
    }

    /// Checks that a valid reset code was sent to `account`. A wrong code gives the same error whether or not the
    /// account exists.
    async fn check_login_code(
        &self,
        code: &SecretString,
        account: &str,
        address: &str,
    ) -> Result<Proof, Error> {
        self.throttle.take(CODES, address).await?;
        let (digest, purpose) = (secret::code_digest(code), Purpose::PasswordReset);
        let db = self.store.connection();
        let found = codes::find(db, purpose, &digest, self.clock.now_ms()).await?;
        if found.is_some_and(|(_, sent_to)| sent_to == account) {
            return Ok(Proof::Code);
        }
        tracing::warn!(target: "security", event = "login_code_refused", address);
        Err(Error::CodeInvalid)
    }

    pub async fn refresh(&self, token: &SecretString, address: &str) -> Result<Tokens, Error> {
        let digest = secret::token_digest(token);
        let now_ms = self.clock.now_ms();
        let transaction = self.store.begin_unrepeatable().await?;
        let known = sessions::lock_token(&transaction, &digest).await?;
        let known = known.ok_or(Error::RefreshTokenInvalid)?;
        let user_id = known.user_id;
        if known.is_used {
            sessions::delete_session(&transaction, known.session_id).await?;
            transaction.commit().await?;
            tracing::warn!(target: "security", event = "refresh_token_reused", %user_id, address, "the session was ended");
            return Err(Error::RefreshTokenInvalid);
        }
        if known.expires_at_ms <= now_ms || known.session_expires_at_ms <= now_ms {
            return Err(Error::RefreshTokenInvalid);
        }
        let user = store::find_user(&transaction, user_id).await?;
        let user = user.ok_or(Error::RefreshTokenInvalid)?;
        sessions::mark_used(&transaction, &digest).await?;
        sessions::touch(&transaction, known.session_id, now_ms, address).await?;
        let tokens = self
            .next_tokens(
                &transaction,
                &user,
                known.session_id,
                known.session_expires_at_ms,
            )
            .await?;
        transaction.commit().await?;
        Ok(tokens)
    }

    /// The session of a refresh token, if there is one.
    pub async fn revoke(&self, token: &SecretString, address: &str) -> Result<(), Error> {
        let digest = secret::token_digest(token);
        let transaction = self.store.begin_unrepeatable().await?;
        let Some(known) = sessions::lock_token(&transaction, &digest).await? else {
            return Ok(());
        };
        sessions::delete_session(&transaction, known.session_id).await?;
        transaction.commit().await?;
        tracing::info!(target: "security", event = "session_revoked", user_id = %known.user_id, address);
        Ok(())
    }

    async fn next_tokens(
        &self,
        db: &impl sea_orm::ConnectionTrait,
        user: &User,
        session_id: Uuid,
        session_expires_at_ms: i64,
    ) -> Result<Tokens, Error> {
        let caller = Caller {
            user_id: user.id,
            role: self.role_of(user),
            session_id: Some(session_id),
            email_verified: Some(user.email_verified),
        };
        let access = self.keys.issue(caller).ok_or(Error::NoSigningKey)?;
        let refresh = secret::new_token()?;
        let expires_at_ms = self.clock.now_ms() + millis(REFRESH_TOKEN);
        let refresh_expires_at_ms = expires_at_ms.min(session_expires_at_ms);
        let digest = secret::token_digest(&refresh);
        sessions::insert_token(db, &digest, session_id, refresh_expires_at_ms).await?;
        Ok(Tokens {
            access,
            refresh,
            refresh_expires_at_ms,
        })
    }
}
