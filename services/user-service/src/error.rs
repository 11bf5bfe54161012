//! What can go wrong, and what it means to a caller. This service handles no events, so there is no other side.

use std::time::Duration;

use messaging::{BeginError, OverBudget};
use runtime::idempotency::{ClaimError, Reused};
use runtime::status;
use sea_orm::DbErr;
use tonic::Status;
use uuid::Uuid;

use crate::password::HashError;
use crate::store::InsertError;

/// By then much of the queue has been hashed.
const RETRY_WHEN_HASHING: Duration = Duration::from_secs(1);
/// By then an outbox that drains has made room.
const RETRY_WHEN_OVERLOADED: Duration = Duration::from_secs(5);

/// No variant holds an address: an error is logged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("another user has this e-mail address, in this or another case of its letters")]
    EmailTaken,
    #[error("there is no user {0}")]
    UserNotFound(Uuid),
    #[error(transparent)]
    Hashing(#[from] HashError),
    #[error(transparent)]
    RequestIdReused(#[from] Reused),
    #[error(transparent)]
    Overloaded(#[from] OverBudget),
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl From<ClaimError> for Error {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Reused(reused) => Self::RequestIdReused(reused),
            ClaimError::Database(error) => Self::Database(error),
        }
    }
}

impl From<BeginError> for Error {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::OverBudget(over) => Self::Overloaded(over),
            BeginError::Database(error) => Self::Database(error),
        }
    }
}

impl From<InsertError> for Error {
    fn from(error: InsertError) -> Self {
        match error {
            InsertError::EmailTaken => Self::EmailTaken,
            InsertError::Database(error) => Self::Database(error),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            // The field stands for the address, which the caller knows and other readers of the answer need not.
            Error::EmailTaken => {
                status::already_exists("EMAIL_TAKEN", "angarium.user.v1.User", "email", message)
            }
            Error::UserNotFound(id) => status::not_found(
                "USER_NOT_FOUND",
                "angarium.user.v1.User",
                &id.to_string(),
                message,
            ),
            Error::Hashing(HashError::Busy) => {
                status::resource_exhausted("TOO_MANY_PASSWORDS", RETRY_WHEN_HASHING)
            }
            Error::Hashing(HashError::Failed(_)) => {
                tracing::error!("{message}");
                status::internal()
            }
            Error::RequestIdReused(reused) => reused.into(),
            Error::Overloaded(OverBudget) => {
                status::resource_exhausted("OUTBOX_OVER_BUDGET", RETRY_WHEN_OVERLOADED)
            }
            Error::Database(error) => status::database(&error),
        }
    }
}
