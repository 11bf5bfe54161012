//! Puts right what the transport answers with codes that gRPC keeps for other things, and without a reason.
//!
//! A message past its limit is `RESOURCE_EXHAUSTED` in gRPC's own list of codes, packed or not. One that cannot be unpacked or
//! decoded is the caller's mistake, and `INTERNAL` would have somebody look for ours.

use http::HeaderMap;
use tonic::{Code, Status};

use crate::status;

/// How the codec begins its sentence about a message past its limit: of requests, of responses, and of what is packed.
const TOO_LARGE: [(Code, &str); 3] = [
    (Code::OutOfRange, "Error, decoded message length too large"),
    (Code::OutOfRange, "Error, encoded message length too large"),
    (Code::ResourceExhausted, "Error decompressing: size limit"),
];

/// How it begins its sentence about a message that it cannot read.
const UNREADABLE: [(Code, &str); 2] = [
    (Code::Internal, "failed to decode Protobuf message"),
    (Code::Internal, "Error decompressing:"),
];

/// Corrects the status in `headers` (or trailers) and returns its code; `None` where they hold no status.
pub(super) fn status_in(headers: &mut HeaderMap) -> Option<Code> {
    let status = Status::from_header_map(headers)?;
    let Some(corrected) = corrected(&status) else {
        return Some(status.code());
    };
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        headers.remove(name);
    }
    // It fails for metadata that is no header, and there is none.
    let _ = corrected.add_header(headers);
    Some(corrected.code())
}

fn corrected(status: &Status) -> Option<Status> {
    let is_of = |(code, sentence): &(Code, &str)| {
        status.code() == *code && status.message().starts_with(sentence)
    };
    if TOO_LARGE.iter().any(is_of) {
        return Some(status::message_too_large(status.message()));
    }
    UNREADABLE
        .iter()
        .any(is_of)
        .then(|| status::malformed_message(status.message()))
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

    #[test]
    fn a_message_past_its_limit_is_resource_exhausted() {
        for (code, sentence) in TOO_LARGE {
            let mut headers = headers(&Status::new(code, format!("{sentence}: found 5 bytes")));
            assert_eq!(status_in(&mut headers), Some(Code::ResourceExhausted));
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
            assert_eq!(status_in(&mut headers), Some(Code::InvalidArgument));
            let status = Status::from_header_map(&headers).unwrap();
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, "MESSAGE_MALFORMED");
        }
    }

    #[test]
    fn every_other_status_stays_as_it_is() {
        let status = Status::out_of_range("past the last page");
        let mut headers = headers(&status);
        assert_eq!(status_in(&mut headers), Some(Code::OutOfRange));
        let after = Status::from_header_map(&headers).unwrap();
        assert_eq!(after.message(), status.message());
        assert_eq!(status_in(&mut HeaderMap::new()), None);
    }
}
