//! Error answers in the form of AIP-193: each has a `google.rpc.ErrorInfo` with our domain and a stable reason, and the
//! detail that fits its code.
//!
//! Messages never contain SQL, a path or a driver's text. The cause is logged once, where it becomes a status.

mod refused;
#[cfg(test)]
mod tests;
mod transport;
mod violations;

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::DbErr;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

pub(crate) use transport::{
    cancelled, compression_unknown, malformed_message, message_count, message_too_large,
    packed_by_no_method, requests_too_large,
};
pub use violations::{Violation, Violations};

/// With the reason it identifies an error globally.
pub const DOMAIN: &str = "angarium";

/// Of values from a request: an answer travels in headers, and clients refuse more than 8 KiB (grpcio's soft limit).
const REPEATED_CHARACTERS: usize = 128;

/// By then, a service usually has the requested keys.
const RETRY_WITHOUT_KEY: Duration = Duration::from_secs(1);
/// The transaction of the call was ended by a conflict.
pub(crate) const TRANSACTION_CONFLICT: &str = "TRANSACTION_CONFLICT";
/// By then, the other transaction has ended.
const RETRY_AFTER_CONFLICT: Duration = Duration::from_millis(100);

/// An operator must free space first.
const RETRY_AFTER_FULL: Duration = Duration::from_secs(10);

/// Invalid fields. Reason `VALIDATION_FAILED`.
pub fn invalid_argument(violations: Vec<Violation>) -> Status {
    let message = violations::summary(&violations);
    let mut details = details("VALIDATION_FAILED", &[]);
    for violation in violations::that_fit(violations) {
        details.add_bad_request_violation(violation.field, violation.description);
    }
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// Reason `REQUEST_ID_REUSED`.
pub(crate) fn request_id_reused(message: String) -> Status {
    let mut details = details("REQUEST_ID_REUSED", &[]);
    details.add_bad_request_violation("request_id", message.as_str());
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// No such resource, for example `not_found("USER_NOT_FOUND", "angarium.user.v1.User", id, …)`.
pub fn not_found(
    reason: &str,
    resource_type: &str,
    name: &str,
    message: impl Into<String>,
) -> Status {
    resource(Code::NotFound, reason, resource_type, name, message.into())
}

/// As [`not_found`], but the event of the resource may still come.
pub fn not_known_yet(
    reason: &str,
    resource_type: &str,
    name: &str,
    message: impl Into<String>,
    retry_after: Duration,
) -> Status {
    let message = message.into();
    let mut details = resource_details(reason, resource_type, name, &message);
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(Code::NotFound, message, details)
}

/// A unique value is taken, for example `already_exists("EMAIL_TAKEN", "angarium.user.v1.User", email, …)`.
pub fn already_exists(
    reason: &str,
    resource_type: &str,
    name: &str,
    message: impl Into<String>,
) -> Status {
    resource(
        Code::AlreadyExists,
        reason,
        resource_type,
        name,
        message.into(),
    )
}

/// The state of the resource forbids it. `kind`: the class of the precondition (`ORDER_STATE`); `subject`: the
/// resource; `description`: the required state.
pub fn failed_precondition(
    reason: &str,
    kind: &str,
    subject: &str,
    description: impl Into<String>,
) -> Status {
    let description = description.into();
    let subject = clipped(subject);
    let mut details = details(reason, &[("subject", subject)]);
    details.add_precondition_failure_violation(kind, subject, description.as_str());
    Status::with_error_details(Code::FailedPrecondition, description, details)
}

/// No valid access token. Only the log has the cause.
pub fn unauthenticated() -> Status {
    let message =
        "the call needs a valid access token in its metadata, as `authorization: Bearer TOKEN`";
    Status::with_error_details(
        Code::Unauthenticated,
        message,
        details("UNAUTHENTICATED", &[]),
    )
}

/// A wrong password, or a wrong token of another kind.
pub fn not_authenticated(reason: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(Code::Unauthenticated, message, details(reason, &[]))
}

/// Reason `TOO_MANY_ATTEMPTS`.
pub fn too_many_attempts(retry_after: Duration) -> Status {
    let mut details = details("TOO_MANY_ATTEMPTS", &[]);
    details.set_retry_info(Some(retry_after));
    let message = "too many attempts, try again later";
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// As [`unauthenticated`], but a new token is enough. Reason `TOKEN_EXPIRED`.
pub fn token_expired() -> Status {
    let message = "the access token has expired, get a new one with the refresh token";
    Status::with_error_details(
        Code::Unauthenticated,
        message,
        details("TOKEN_EXPIRED", &[]),
    )
}

/// Reason `KEY_UNKNOWN`.
pub(crate) fn key_unknown() -> Status {
    let mut details = details("KEY_UNKNOWN", &[]);
    details.set_retry_info(Some(RETRY_WITHOUT_KEY));
    let message = "the key of the access token is not known yet, retry with the same token";
    Status::with_error_details(Code::Unavailable, message, details)
}

/// One answer for a forbidden and a missing resource, which reveals nothing.
pub fn permission_denied() -> Status {
    let message = "permission denied, or it does not exist";
    Status::with_error_details(
        Code::PermissionDenied,
        message,
        details("PERMISSION_DENIED", &[]),
    )
}

/// No method or no rule.
pub(crate) fn unknown_method() -> Status {
    let message = "this server has no such method";
    Status::with_error_details(Code::Unimplemented, message, details("METHOD_UNKNOWN", &[]))
}

/// A lost race: the caller must read again and repeat the step.
pub fn aborted(reason: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(Code::Aborted, message, details(reason, &[]))
}

/// Clients retry only this code automatically, after `retry_after`.
pub fn unavailable(reason: &str, retry_after: Duration) -> Status {
    let mut details = details(reason, &[]);
    details.set_retry_info(Some(retry_after));
    let message = "the service is unavailable, try again";
    Status::with_error_details(Code::Unavailable, message, details)
}

/// The service is overloaded.
pub fn resource_exhausted(reason: &str, retry_after: Duration) -> Status {
    let mut details = details(reason, &[]);
    details.set_retry_info(Some(retry_after));
    let message = "the service is overloaded, try again later";
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// A quota is used up until `retry_after`. `subject` is `user:ID` or `address:ADDRESS`; `quota` describes the limit.
pub fn quota_exceeded(reason: &str, subject: &str, quota: &str, retry_after: Duration) -> Status {
    let mut details = details(reason, &[("subject", subject)]);
    details.set_retry_info(Some(retry_after));
    details.add_quota_failure_violation(subject, quota);
    let message = format!("the limit of one caller is reached ({quota}), try again later");
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

pub(crate) fn rate_limited(subject: &str, per_second: u32, retry_after: Duration) -> Status {
    let quota = format!("{per_second} calls per second");
    quota_exceeded("RATE_LIMITED", subject, &quota, retry_after)
}

/// A bug. Only the log has the cause.
pub fn internal() -> Status {
    let message = "internal error; the log has it with the correlation id";
    Status::with_error_details(Code::Internal, message, details("INTERNAL", &[]))
}

/// The status of a failed statement: `RESOURCE_EXHAUSTED` on a full disk, `UNAVAILABLE` without the database, `ABORTED`
/// if two calls conflict, `INVALID_ARGUMENT` if a text has a NUL, otherwise `INTERNAL`. Logs the error.
pub fn database(error: &DbErr) -> Status {
    if store::is_conflict(error) {
        tracing::info!(%error, "a transaction was ended by a conflict");
        return transaction_conflict();
    }
    if store::is_full(error) {
        tracing::error!(%error, "the disk of the database is full; free some space, no restart is needed");
        return database_full();
    }
    if store::is_unavailable(error) {
        tracing::warn!(%error, "the database is unavailable");
        return database_unavailable();
    }
    if store::is_unstorable_text(error) {
        tracing::info!(%error, "a text of the request cannot be stored");
        return unstorable_text();
    }
    tracing::error!(%error, "a statement failed");
    internal()
}

/// PostgreSQL stores no NUL.
fn unstorable_text() -> Status {
    let message = "a text of the request has a character that cannot be stored (NUL)";
    Status::with_error_details(
        Code::InvalidArgument,
        message,
        details("TEXT_NOT_STORABLE", &[]),
    )
}

/// The failure is already logged.
pub(crate) fn database_unavailable() -> Status {
    unavailable("DATABASE_UNAVAILABLE", Duration::from_secs(1))
}

/// Clients do not retry this code automatically: an operator must act first. `google.rpc.Code` documents a full file
/// system under `RESOURCE_EXHAUSTED`.
fn database_full() -> Status {
    let mut details = details("DATABASE_FULL", &[]);
    details.set_retry_info(Some(RETRY_AFTER_FULL));
    let message = "the service's disk is full; the call had no effect, try again later";
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// The database ended this transaction; it had no effect.
pub(crate) fn transaction_conflict() -> Status {
    let mut details = details(TRANSACTION_CONFLICT, &[]);
    details.set_retry_info(Some(RETRY_AFTER_CONFLICT));
    let message = "the call conflicted with another one and had no effect; repeat it";
    Status::with_error_details(Code::Aborted, message, details)
}

/// The caller does not know the outcome.
pub fn deadline_exceeded(limit: Duration) -> Status {
    let limit = humantime::format_duration(limit).to_string();
    let message = format!("the call did not end within {limit}");
    let details = details("DEADLINE_EXCEEDED", &[("limit", &limit)]);
    Status::with_error_details(Code::DeadlineExceeded, message, details)
}

fn resource(code: Code, reason: &str, resource_type: &str, name: &str, message: String) -> Status {
    let details = resource_details(reason, resource_type, name, &message);
    Status::with_error_details(code, message, details)
}

fn resource_details(reason: &str, resource_type: &str, name: &str, message: &str) -> ErrorDetails {
    let name = clipped(name);
    let mut details = details(reason, &[("resource", name)]);
    details.set_resource_info(resource_type, name, "", message);
    details
}

fn details(reason: &str, metadata: &[(&str, &str)]) -> ErrorDetails {
    let pairs = metadata.iter();
    let metadata: HashMap<String, String> = pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    ErrorDetails::with_error_info(reason, DOMAIN, metadata)
}

fn clipped(text: &str) -> &str {
    let end = text.char_indices().nth(REPEATED_CHARACTERS);
    end.map_or(text, |(index, _)| &text[..index])
}
