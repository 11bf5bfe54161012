//! Maps each error to a gRPC status for callers and to a retry decision for event handlers.

use std::time::Duration;

use messaging::HandlerError;
use runtime::etag::EtagMismatch;
use runtime::slots::Full;
use runtime::{ClientAddress, status};
use sea_orm::DbErr;
use service::CommonError;
use tonic::Status;
use uuid::Uuid;

use crate::order::{IllegalTransition, State, Step};

/// By then, another call may have ended its watch.
const RETRY_WHEN_WATCHED: Duration = Duration::from_secs(5);
/// By then, an event that was just published has arrived.
const RETRY_WHEN_UNKNOWN: Duration = Duration::from_millis(200);
/// Another replica or the next process accepts watchers.
const RETRY_WHEN_ENDING: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("permission denied")]
    PermissionDenied,
    #[error("user {0} is not known here")]
    UserUnknown(Uuid),
    #[error("user {0} has been deleted")]
    UserDeleted(Uuid),
    #[error("there is no order {0}")]
    OrderNotFound(Uuid),
    #[error("order {order_id} {}", describe(*illegal))]
    State {
        order_id: Uuid,
        illegal: IllegalTransition,
    },
    #[error("this server has reached its limit of watched orders")]
    TooManyWatchers,
    #[error("user {user_id} has reached the limit of {most} watched orders")]
    TooManyOfCaller { user_id: Uuid, most: usize },
    #[error("address {address} is at its limit of {most} watched orders")]
    TooManyOfAddress { address: ClientAddress, most: usize },
    #[error(
        "user {0} has not verified the e-mail address; verify it, get a new token with the refresh token, and watch then"
    )]
    EmailUnverified(Uuid),
    #[error("the watch has reached its time limit of {0:?}")]
    WatchedLongEnough(Duration),
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error(transparent)]
    Common(#[from] CommonError),
}

impl Error {
    /// Callers who see only their own orders do not learn whether it exists.
    pub fn no_order(order_id: Uuid, owner: Option<Uuid>) -> Self {
        match owner {
            Some(_) => Self::PermissionDenied,
            None => Self::OrderNotFound(order_id),
        }
    }
}

impl From<Full> for Error {
    fn from(full: Full) -> Self {
        match full {
            Full::All => Self::TooManyWatchers,
            Full::User(user_id, most) => Self::TooManyOfCaller { user_id, most },
            Full::Address(address, most) => Self::TooManyOfAddress { address, most },
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
            Error::UserUnknown(id) => status::not_known_yet(
                "USER_UNKNOWN",
                "angarium.user.v1.User",
                &id.to_string(),
                format!("{message}; shortly after a registration, try again"),
                RETRY_WHEN_UNKNOWN,
            ),
            Error::UserDeleted(id) => {
                status::failed_precondition("USER_DELETED", "USER_STATE", &id.to_string(), message)
            }
            Error::OrderNotFound(id) => status::not_found(
                "ORDER_NOT_FOUND",
                "angarium.order.v1.Order",
                &id.to_string(),
                message,
            ),
            Error::State { order_id, illegal } => status::failed_precondition(
                reason(illegal),
                "ORDER_STATE",
                &order_id.to_string(),
                message,
            ),
            Error::TooManyWatchers => {
                status::resource_exhausted("TOO_MANY_WATCHERS", RETRY_WHEN_WATCHED)
            }
            Error::TooManyOfCaller { user_id, most } => status::quota_exceeded(
                "TOO_MANY_WATCHERS_OF_CALLER",
                &format!("user:{user_id}"),
                &format!("at most {most} watched orders at a time"),
                RETRY_WHEN_WATCHED,
            ),
            Error::TooManyOfAddress { address, most } => status::quota_exceeded(
                "TOO_MANY_WATCHERS_OF_CALLER",
                &format!("address:{address}"),
                &format!("{most} orders watched at a time"),
                RETRY_WHEN_WATCHED,
            ),
            Error::EmailUnverified(id) => status::failed_precondition(
                "EMAIL_NOT_VERIFIED",
                "USER_STATE",
                &id.to_string(),
                message,
            ),
            Error::WatchedLongEnough(limit) => status::deadline_exceeded(limit),
            Error::ShuttingDown => status::unavailable("SHUTTING_DOWN", RETRY_WHEN_ENDING),
            Error::Common(error) => error.into(),
        }
    }
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match error {
            // It may still arrive: events of different aggregates have no common order.
            Error::UserUnknown(_) => Self::retry(error),
            Error::Common(error) => error.into(),
            // Handlers do not watch.
            Error::TooManyWatchers
            | Error::TooManyOfCaller { .. }
            | Error::TooManyOfAddress { .. }
            | Error::EmailUnverified(_)
            | Error::WatchedLongEnough(_)
            | Error::ShuttingDown => Self::retry(error),
            // This database created the order before any event about it.
            Error::OrderNotFound(_)
            | Error::PermissionDenied
            | Error::UserDeleted(_)
            | Error::State { .. } => Self::reject(error),
        }
    }
}

/// The current state: the caller can act on that.
fn reason(illegal: IllegalTransition) -> &'static str {
    match illegal.from {
        State::Placed => "ORDER_NOT_CONFIRMED",
        State::Confirmed => "ORDER_ALREADY_CONFIRMED",
        State::Shipped => "ORDER_ALREADY_SHIPPED",
        State::Cancelled => "ORDER_ALREADY_CANCELLED",
    }
}

fn describe(illegal: IllegalTransition) -> String {
    let is = match illegal.from {
        State::Placed => "is not confirmed yet",
        State::Confirmed => "is confirmed already",
        State::Shipped => "is shipped already",
        State::Cancelled => "is cancelled already",
    };
    let cannot = match illegal.step {
        Step::Confirm => "confirmed",
        Step::Ship => "shipped",
        Step::Cancel => "cancelled",
    };
    format!("{is}, so it cannot be {cannot}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_retries_missing_data_and_rejects_invalid_data() {
        for may_come in [
            Error::UserUnknown(Uuid::nil()),
            Error::from(DbErr::Custom("away".to_owned())),
        ] {
            let error = HandlerError::from(may_come);
            assert!(matches!(error, HandlerError::Retry(_)), "{error}");
        }
        for never in [
            Error::OrderNotFound(Uuid::nil()),
            Error::State {
                order_id: Uuid::nil(),
                illegal: IllegalTransition {
                    from: State::Cancelled,
                    step: Step::Cancel,
                },
            },
        ] {
            let error = HandlerError::from(never);
            assert!(matches!(error, HandlerError::Reject(_)), "{error}");
        }
    }

    #[test]
    fn a_refused_step_says_what_is_in_its_way() {
        let illegal = IllegalTransition {
            from: State::Placed,
            step: Step::Ship,
        };
        let error = Error::State {
            order_id: Uuid::nil(),
            illegal,
        };
        let nil = Uuid::nil();
        assert_eq!(
            error.to_string(),
            format!("order {nil} is not confirmed yet, so it cannot be shipped")
        );
    }
}
