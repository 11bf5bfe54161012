//! Maps each error to a gRPC status for callers and to a retry decision for event handlers.

use messaging::HandlerError;
use runtime::etag::EtagMismatch;
use runtime::status;
use sea_orm::DbErr;
use service::CommonError;
use tonic::Status;
use uuid::Uuid;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("permission denied")]
    PermissionDenied,
    #[error("user {0} is not known here")]
    RecipientUnknown(Uuid),
    #[error("there is no notification {0}")]
    NotificationNotFound(Uuid),
    #[error("notification {id} cannot be sent again: {why}")]
    NotResendable { id: Uuid, why: NotResendable },
    #[error("the event's user_id is not a UUID")]
    NotAUser,
    #[error("the mail cannot be written: {0}")]
    Template(#[from] askama::Error),
    #[error(transparent)]
    Common(#[from] CommonError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotResendable {
    #[error("it or a copy of it is not sent yet")]
    Pending,
    #[error("it contains a code that works once; request a new code")]
    HoldsCode,
    #[error("it has reached the limit of copies")]
    CopiedTooOften,
    #[error("the user's account has been deleted")]
    Erased,
}

impl NotResendable {
    fn reason(self) -> &'static str {
        match self {
            Self::Pending => "NOTIFICATION_PENDING",
            Self::HoldsCode => "NOTIFICATION_HOLDS_CODE",
            Self::CopiedTooOften => "NOTIFICATION_COPIED_TOO_OFTEN",
            Self::Erased => "NOTIFICATION_ERASED",
        }
    }
}

impl Error {
    /// Callers who see only their own notifications do not learn whether it exists.
    pub fn no_notification(id: Uuid, owner: Option<Uuid>) -> Self {
        match owner {
            Some(_) => Self::PermissionDenied,
            None => Self::NotificationNotFound(id),
        }
    }
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

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::PermissionDenied => status::permission_denied(),
            Error::RecipientUnknown(id) => status::not_found(
                "USER_UNKNOWN",
                "angarium.user.v1.User",
                &id.to_string(),
                message,
            ),
            Error::NotificationNotFound(id) => status::not_found(
                "NOTIFICATION_NOT_FOUND",
                "angarium.notification.v1.Notification",
                &id.to_string(),
                message,
            ),
            Error::NotResendable { id, why } => status::failed_precondition(
                why.reason(),
                "NOTIFICATION_STATE",
                &id.to_string(),
                message,
            ),
            Error::Common(error) => error.into(),
            // Only events cause these: here, it is a bug.
            Error::NotAUser | Error::Template(_) => {
                tracing::error!(
                    "a call failed with an error that only events can cause: {message}"
                );
                status::internal()
            }
        }
    }
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match error {
            // It may still arrive: events of different aggregates have no common order.
            Error::RecipientUnknown(_) | Error::NotificationNotFound(_) => Self::retry(error),
            Error::Common(error) => error.into(),
            Error::NotAUser
            | Error::Template(_)
            | Error::PermissionDenied
            | Error::NotResendable { .. } => Self::reject(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_retries_missing_data_and_rejects_invalid_data() {
        let may_come = HandlerError::from(Error::RecipientUnknown(Uuid::nil()));
        assert!(matches!(may_come, HandlerError::Retry(_)), "{may_come}");
        let never = HandlerError::from(Error::NotAUser);
        assert!(matches!(never, HandlerError::Reject(_)), "{never}");
    }
}
