//! Maps each error to a gRPC status. Handlers of this service have no such errors.

use std::time::Duration;

use runtime::etag::EtagMismatch;
use runtime::sealed::SealError;
use runtime::status::{self, Violation};
use sea_orm::DbErr;
use service::CommonError;
use tonic::Status;
use uuid::Uuid;

use crate::hasher::HashError;
use crate::secret::NoRandomness;
use crate::store::WriteError;
use crate::throttle::{ThrottleError, Wait};

/// By then, much of the queue is hashed.
const RETRY_WHEN_HASHING: Duration = Duration::from_secs(1);
/// By then, the key worker has tried again.
const RETRY_WITHOUT_KEY: Duration = Duration::from_secs(30);

const USER: &str = "angarium.user.v1.User";

/// No variant contains an address, a password or a code, because errors are logged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("another user has this e-mail address (ignoring case)")]
    EmailTaken,
    #[error("there is no user {0}")]
    UserNotFound(Uuid),
    #[error("permission denied, or it does not exist")]
    NotAllowed,
    #[error("no user has this address and this password")]
    CredentialsInvalid,
    #[error("invalid, used or expired refresh token, or an ended session; log in again")]
    RefreshTokenInvalid,
    #[error("invalid, used, expired or replaced code; request a new code")]
    CodeInvalid,
    #[error("the session of the access token has ended; log in again")]
    SessionEnded,
    #[error("the current password is required to change the address or to delete the account")]
    PasswordMissing,
    #[error("the current password is wrong")]
    PasswordWrong,
    #[error("the address is already verified")]
    EmailVerified,
    #[error("the user was changed at the same time; read it again and repeat the change")]
    Raced,
    #[error(transparent)]
    TooManyAttempts(#[from] Wait),
    #[error("no key can sign tokens at the moment")]
    NoSigningKey,
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error(transparent)]
    Sealing(#[from] SealError),
    #[error(transparent)]
    Hashing(#[from] HashError),
    #[error(transparent)]
    Common(#[from] CommonError),
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Common(error.into())
    }
}

impl From<EtagMismatch> for Error {
    fn from(mismatch: EtagMismatch) -> Self {
        Self::Common(mismatch.into())
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::EmailTaken => Self::EmailTaken,
            WriteError::Database(error) => error.into(),
        }
    }
}

impl From<ThrottleError> for Error {
    fn from(error: ThrottleError) -> Self {
        match error {
            ThrottleError::Wait(wait) => Self::TooManyAttempts(wait),
            ThrottleError::Database(error) => error.into(),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            // The field stands for the address, which the log must not show.
            Error::EmailTaken => status::already_exists("EMAIL_TAKEN", USER, "email", message),
            Error::UserNotFound(id) => {
                status::not_found("USER_NOT_FOUND", USER, &id.to_string(), message)
            }
            Error::NotAllowed => status::permission_denied(),
            Error::CredentialsInvalid => status::not_authenticated("CREDENTIALS_INVALID", message),
            Error::SessionEnded => status::not_authenticated("SESSION_ENDED", message),
            Error::RefreshTokenInvalid => {
                status::not_authenticated("REFRESH_TOKEN_INVALID", message)
            }
            Error::CodeInvalid => {
                status::failed_precondition("CODE_INVALID", "CODE", "code", message)
            }
            Error::PasswordMissing => status::invalid_argument(vec![Violation::new(
                "current_password",
                "is required to change the address or to delete an account",
            )]),
            Error::PasswordWrong => status::failed_precondition(
                "PASSWORD_WRONG",
                "PASSWORD",
                "current_password",
                message,
            ),
            Error::EmailVerified => {
                status::failed_precondition("EMAIL_VERIFIED", "EMAIL_STATE", "email", message)
            }
            Error::Raced => status::aborted("USER_CHANGED", message),
            Error::TooManyAttempts(Wait(wait)) => status::too_many_attempts(wait),
            Error::NoSigningKey => {
                tracing::error!("{message}");
                status::unavailable("NO_SIGNING_KEY", RETRY_WITHOUT_KEY)
            }
            Error::Hashing(HashError::Busy) => {
                status::resource_exhausted("TOO_MANY_PASSWORDS", RETRY_WHEN_HASHING)
            }
            Error::NoRandomness(_) | Error::Sealing(_) | Error::Hashing(HashError::Failed(_)) => {
                tracing::error!("{message}");
                status::internal()
            }
            Error::Common(error) => error.into(),
        }
    }
}
