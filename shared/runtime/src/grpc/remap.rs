//! Puts right what the transport answers with codes that gRPC keeps for applications.
//!
//! A message past its limit is `OUT_OF_RANGE` there and `RESOURCE_EXHAUSTED` in gRPC's own list of codes. The expiry of a
//! deadline needs no entry: [`super::rpc`] runs its own timer inside the transport's.

use http::HeaderMap;
use tonic::{Code, Status};

use crate::status;

/// How the codec begins its sentence, for requests and for responses.
const TOO_LARGE: [&str; 2] = [
    "Error, decoded message length too large",
    "Error, encoded message length too large",
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
    let is_too_large = status.code() == Code::OutOfRange
        && TOO_LARGE
            .iter()
            .any(|sentence| status.message().starts_with(sentence));
    is_too_large.then(|| status::message_too_large(status.message()))
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
        for sentence in TOO_LARGE {
            let mut headers = headers(&Status::out_of_range(format!("{sentence}: found 5 bytes")));
            assert_eq!(status_in(&mut headers), Some(Code::ResourceExhausted));
            let status = Status::from_header_map(&headers).unwrap();
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert!(status.message().ends_with("found 5 bytes"));
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, "MESSAGE_TOO_LARGE");
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
