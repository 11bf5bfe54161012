//! Answers to requests that no method can read, or that have no room.
//!
//! The codes are those of gRPC, and `INVALID_ARGUMENT` if it names none: `INTERNAL` would mean a fault of ours.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{details, resource_exhausted};

/// By then, other requests are complete.
const RETRY_WITH_ROOM: Duration = Duration::from_secs(1);

/// A repetition does not help. `reported` is the library's sentence with both sizes.
pub(crate) fn message_too_large(reported: &str) -> Status {
    let message = reported.trim_start_matches("Error, ");
    let details = details("MESSAGE_TOO_LARGE", &[]);
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// The bytes of the message cannot be unpacked or decoded.
pub(crate) fn malformed_message(reported: &str) -> Status {
    let details = details("MESSAGE_MALFORMED", &[]);
    Status::with_error_details(Code::InvalidArgument, reported, details)
}

/// As [`malformed_message`], for a compressed message without a compression method: gRPC requires this code.
pub(crate) fn packed_by_no_method() -> Status {
    let message = "the message is marked as compressed, and the call has no grpc-encoding";
    let details = details("MESSAGE_MALFORMED", &[]);
    Status::with_error_details(Code::Internal, message, details)
}

/// The method takes one message. `found` says how many there were.
pub(crate) fn message_count(found: &str) -> Status {
    let message = format!("the method takes exactly one message, and there is {found}");
    let details = details("MESSAGE_COUNT", &[]);
    Status::with_error_details(Code::Unimplemented, message, details)
}

/// `reported` is the library's own sentence.
pub(crate) fn compression_unknown(reported: &str) -> Status {
    let details = details("COMPRESSION_UNKNOWN", &[]);
    Status::with_error_details(Code::Unimplemented, reported, details)
}

/// The client has ended the call and does not read this.
pub(crate) fn cancelled() -> Status {
    let message = "the client ended the call before its message was complete";
    Status::with_error_details(Code::Cancelled, message, details("CANCELLED", &[]))
}

/// No room, and this request is the oldest incomplete one.
pub(crate) fn requests_too_large() -> Status {
    resource_exhausted("REQUESTS_TOO_LARGE", RETRY_WITH_ROOM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_names_its_reason() {
        for (status, reason) in [
            (message_too_large("Error, x"), "MESSAGE_TOO_LARGE"),
            (malformed_message("x"), "MESSAGE_MALFORMED"),
            (packed_by_no_method(), "MESSAGE_MALFORMED"),
            (message_count("none"), "MESSAGE_COUNT"),
            (compression_unknown("x"), "COMPRESSION_UNKNOWN"),
            (cancelled(), "CANCELLED"),
            (requests_too_large(), "REQUESTS_TOO_LARGE"),
        ] {
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, reason);
            assert!(!status.message().is_empty());
        }
    }
}
