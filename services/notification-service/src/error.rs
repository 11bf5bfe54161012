//! What can go wrong, and what it means to either side: to a caller, and to an event's handler.

use messaging::HandlerError;
use runtime::status;
use sea_orm::DbErr;
use tonic::Status;
use uuid::Uuid;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("user {0} is not known here")]
    RecipientUnknown(Uuid),
    #[error("the event's user_id is not a UUID")]
    NotAUser,
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Database(error) => status::database(&error),
            // Only events name recipients: a call that ends here is a bug of ours.
            Error::RecipientUnknown(_) | Error::NotAUser => {
                tracing::error!(%error, "a call ended with an error of events");
                status::internal()
            }
        }
    }
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match error {
            // What is not there yet may come: events of different aggregates arrive in any order.
            Error::RecipientUnknown(_) | Error::Database(_) => Self::retry(error),
            Error::NotAUser => Self::reject(error),
        }
    }
}
