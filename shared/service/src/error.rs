//! Errors that every service can have, with their gRPC status and retry decision. A service's own error has these as
//! one variant.

use std::time::Duration;

use messaging::{BeginError, HandlerError, OverBudget};
use runtime::etag::EtagMismatch;
use runtime::idempotency::{ClaimError, Reused};
use runtime::status;
use sea_orm::DbErr;
use tonic::Status;

/// By then, a draining outbox has room again.
const RETRY_WHEN_OVERLOADED: Duration = Duration::from_secs(5);

/// Errors that every service can have.
#[derive(Debug, thiserror::Error)]
pub enum CommonError {
    /// The resource changed after the caller read it.
    #[error(transparent)]
    EtagMismatch(#[from] EtagMismatch),
    /// The `request_id` was used for a call with other content.
    #[error(transparent)]
    RequestIdReused(#[from] Reused),
    /// Too many events wait to be published.
    #[error(transparent)]
    Overloaded(#[from] OverBudget),
    /// The database refuses or is unavailable.
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl From<BeginError> for CommonError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::OverBudget(over) => Self::Overloaded(over),
            BeginError::Database(error) => Self::Database(error),
        }
    }
}

impl From<ClaimError> for CommonError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Reused(reused) => Self::RequestIdReused(reused),
            ClaimError::Database(error) => Self::Database(error),
        }
    }
}

impl From<CommonError> for Status {
    fn from(error: CommonError) -> Self {
        match error {
            CommonError::EtagMismatch(mismatch) => mismatch.into(),
            CommonError::RequestIdReused(reused) => reused.into(),
            CommonError::Overloaded(over) => {
                status::resource_exhausted(over.reason(), RETRY_WHEN_OVERLOADED)
            }
            CommonError::Database(error) => status::database(&error),
        }
    }
}

impl From<CommonError> for HandlerError {
    fn from(error: CommonError) -> Self {
        match error {
            CommonError::Overloaded(_) => Self::retry(error),
            CommonError::Database(error) => error.into(),
            CommonError::EtagMismatch(_) | CommonError::RequestIdReused(_) => Self::reject(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_retries_what_may_pass_and_rejects_what_will_not() {
        for may_pass in [
            CommonError::Overloaded(OverBudget::Age),
            CommonError::Overloaded(OverBudget::Pending),
            CommonError::Database(DbErr::Custom("away".to_owned())),
        ] {
            let error = HandlerError::from(may_pass);
            assert!(matches!(error, HandlerError::Retry(_)), "{error}");
        }
        for never in [
            CommonError::EtagMismatch(EtagMismatch),
            CommonError::RequestIdReused(Reused),
        ] {
            let error = HandlerError::from(never);
            assert!(matches!(error, HandlerError::Reject(_)), "{error}");
        }
    }
}
