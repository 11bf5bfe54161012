//! What can go wrong, and what it means to either side: to a caller, and to an event's handler.

use messaging::HandlerError;
use runtime::etag::EtagMismatch;
use runtime::status;
use sea_orm::DbErr;
use service::CommonError;
use tonic::Status;
use uuid::Uuid;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the caller may not do this")]
    PermissionDenied,
    #[error("user {0} is not known here")]
    RecipientUnknown(Uuid),
    #[error("there is no notification {0}")]
    NotificationNotFound(Uuid),
    #[error("notification {id} cannot be sent once more: {why}")]
    NotResendable { id: Uuid, why: NotResendable },
    #[error("the event's user_id is not a UUID")]
    NotAUser,
    #[error(transparent)]
    Common(#[from] CommonError),
}

/// Why a mail cannot be sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotResendable {
    #[error("it, or a copy of it, is still to be sent")]
    Pending,
    #[error("it holds a code that works once; ask for a new one")]
    HoldsCode,
    #[error("it has as many copies as it may have")]
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
    /// There is no such notification among those of `owner`: who may not see all others learns no more than that.
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
            // Only events name users by what is no id: a call that ends here is a bug of ours.
            Error::NotAUser => {
                tracing::error!("a call ended with an error of events: {message}");
                status::internal()
            }
        }
    }
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match error {
            // What is not there yet may come: events of different aggregates arrive in any order.
            Error::RecipientUnknown(_) | Error::NotificationNotFound(_) => Self::retry(error),
            Error::Common(error) => error.into(),
            Error::NotAUser | Error::PermissionDenied | Error::NotResendable { .. } => {
                Self::reject(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_tries_again_what_may_come_and_gives_up_what_will_not() {
        let may_come = HandlerError::from(Error::RecipientUnknown(Uuid::nil()));
        assert!(matches!(may_come, HandlerError::Retry(_)), "{may_come}");
        let never = HandlerError::from(Error::NotAUser);
        assert!(matches!(never, HandlerError::Reject(_)), "{never}");
    }
}
