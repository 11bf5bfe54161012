//! Corrects statuses of the transport that have no reason and another code than gRPC defines.
//!
//! A message above its limit is `RESOURCE_EXHAUSTED`, compressed or not. A message that cannot be decompressed or
//! decoded is the caller's mistake; `INTERNAL` would mean ours.

use http::HeaderMap;
use tonic::{Code, Status};

use crate::status;

/// The codec's text for a message above its limit: request, response, compressed.
const TOO_LARGE: [(Code, &str); 3] = [
    (Code::OutOfRange, "Error, decoded message length too large"),
    (Code::OutOfRange, "Error, encoded message length too large"),
    (Code::ResourceExhausted, "Error decompressing: size limit"),
];

/// A message that it cannot read, or that ends too early.
const UNREADABLE: [(Code, &str); 4] = [
    (Code::Internal, "failed to decode Protobuf message"),
    (Code::Internal, "Error decompressing:"),
    (
        Code::Internal,
        "protocol error: received message with invalid compression flag",
    ),
    (Code::Internal, "Unexpected EOF decoding stream"),
];

/// A compressed message without a compression method.
const PACKED: (Code, &str) = (
    Code::Internal,
    "protocol error: received message with compressed-flag",
);

/// An unknown compression method.
const COMPRESSION: (Code, &str) = (Code::Unimplemented, "Content is compressed with");

/// The client has disconnected in the middle of its messages.
const GONE: [&str; 2] = ["h2 protocol error:", "error reading a body from connection"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) code: Code,
    /// Whether the transport refused the client's message.
    pub(super) is_clients: bool,
}

/// Corrects and returns the status in headers or trailers.
pub(super) fn status_in(headers: &mut HeaderMap) -> Option<Found> {
    let status = Status::from_header_map(headers)?;
    let Some(corrected) = corrected(&status) else {
        return Some(Found {
            code: status.code(),
            is_clients: false,
        });
    };
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        headers.remove(name);
    }
    // It fails only for invalid metadata.
    let _ = corrected.add_header(headers);
    Some(Found {
        code: corrected.code(),
        is_clients: true,
    })
}

fn corrected(status: &Status) -> Option<Status> {
    let message = status.message();
    let is_of =
        |(code, sentence): &(Code, &str)| status.code() == *code && message.starts_with(sentence);
    if TOO_LARGE.iter().any(is_of) {
        return Some(status::message_too_large(message));
    }
    if UNREADABLE.iter().any(is_of) {
        return Some(status::malformed_message(message));
    }
    if is_of(&PACKED) {
        return Some(status::packed_by_no_method());
    }
    if is_of(&COMPRESSION) {
        return Some(status::compression_unknown(message));
    }
    let is_gone = GONE.iter().any(|sentence| message.starts_with(sentence));
    is_gone.then(status::cancelled)
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    fn headers(status: &Status) -> HeaderMap {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        headers
    }

    fn theirs(code: Code) -> Option<Found> {
        Some(Found {
            code,
            is_clients: true,
        })
    }

    #[test]
    fn a_client_that_is_gone_has_cancelled_its_call() {
        for sentence in GONE {
            let status = Status::unknown(format!("{sentence} stream reset"));
            assert_eq!(status_in(&mut headers(&status)), theirs(Code::Cancelled));
        }
    }

    #[test]
    fn compression_that_no_one_knows_has_a_reason() {
        for ((code, sentence), reason) in [
            (PACKED, "MESSAGE_MALFORMED"),
            (COMPRESSION, "COMPRESSION_UNKNOWN"),
        ] {
            let mut headers = headers(&Status::new(code, sentence));
            assert_eq!(status_in(&mut headers), theirs(code));
            let status = Status::from_header_map(&headers).unwrap();
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, reason);
        }
    }

    #[test]
    fn a_message_past_its_limit_is_resource_exhausted() {
        for (code, sentence) in TOO_LARGE {
            let mut headers = headers(&Status::new(code, format!("{sentence}: found 5 bytes")));
            assert_eq!(status_in(&mut headers), theirs(Code::ResourceExhausted));
            let status = Status::from_header_map(&headers).unwrap();
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert!(status.message().ends_with("found 5 bytes"));
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, "MESSAGE_TOO_LARGE");
        }
    }

    #[test]
    fn a_message_that_cannot_be_read_is_the_callers_mistake() {
        for (code, sentence) in UNREADABLE {
            let mut headers = headers(&Status::new(code, format!("{sentence} at byte 5")));
            assert_eq!(status_in(&mut headers), theirs(Code::InvalidArgument));
            let status = Status::from_header_map(&headers).unwrap();
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, "MESSAGE_MALFORMED");
        }
    }

    #[test]
    fn every_other_status_stays_as_it_is() {
        let status = Status::out_of_range("past the last page");
        let mut headers = headers(&status);
        let ours = Found {
            code: Code::OutOfRange,
            is_clients: false,
        };
        assert_eq!(status_in(&mut headers), Some(ours));
        let after = Status::from_header_map(&headers).unwrap();
        assert_eq!(after.message(), status.message());
        assert_eq!(status_in(&mut HeaderMap::new()), None);
    }
}
