//! What can go wrong, and what it means to either side: to a caller, and to an event's handler.

use std::time::Duration;

use messaging::{BeginError, HandlerError, OverBudget};
use runtime::idempotency::{ClaimError, Reused};
use runtime::status;
use sea_orm::DbErr;
use tonic::Status;
use uuid::Uuid;

use crate::order::State;

/// By then an outbox that drains has made room.
const RETRY_WHEN_OVERLOADED: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("user {0} is not known here")]
    UserUnknown(Uuid),
    #[error("there is no order {0}")]
    OrderNotFound(Uuid),
    #[error("order {order_id} cannot be cancelled, it is {state:?}")]
    NotCancellable { order_id: Uuid, state: State },
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

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::UserUnknown(id) => status::not_found(
                "USER_UNKNOWN",
                "angarium.user.v1.User",
                &id.to_string(),
                format!(
                    "{message}; a user becomes known a moment after registration, so right after it try again"
                ),
            ),
            Error::OrderNotFound(id) => status::not_found(
                "ORDER_NOT_FOUND",
                "angarium.order.v1.Order",
                &id.to_string(),
                message,
            ),
            Error::NotCancellable {
                order_id,
                state: State::Cancelled,
            } => status::failed_precondition(
                "ORDER_ALREADY_CANCELLED",
                "ORDER_STATE",
                &order_id.to_string(),
                "the order is cancelled already",
            ),
            Error::NotCancellable {
                order_id,
                state: State::Placed,
            } => status::failed_precondition(
                "ORDER_NOT_CANCELLABLE",
                "ORDER_STATE",
                &order_id.to_string(),
                message,
            ),
            Error::RequestIdReused(reused) => reused.into(),
            Error::Overloaded(OverBudget) => {
                status::resource_exhausted("OUTBOX_OVER_BUDGET", RETRY_WHEN_OVERLOADED)
            }
            Error::Database(error) => status::database(&error),
        }
    }
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match error {
            // What is not there yet may come: events of different aggregates arrive in any order.
            Error::UserUnknown(_)
            | Error::OrderNotFound(_)
            | Error::Overloaded(_)
            | Error::Database(_) => Self::retry(error),
            Error::NotCancellable { .. } | Error::RequestIdReused(_) => Self::reject(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_tries_again_what_may_come_and_gives_up_what_will_not() {
        for may_come in [
            Error::UserUnknown(Uuid::nil()),
            Error::OrderNotFound(Uuid::nil()),
            Error::Overloaded(OverBudget),
            Error::Database(DbErr::Custom("away".to_owned())),
        ] {
            let error = HandlerError::from(may_come);
            assert!(matches!(error, HandlerError::Retry(_)), "{error}");
        }
        let never = HandlerError::from(Error::NotCancellable {
            order_id: Uuid::nil(),
            state: State::Cancelled,
        });
        assert!(matches!(never, HandlerError::Reject(_)), "{never}");
    }
}
