//! The id of everything that one request caused, in logs, events and answers.
//!
//! An id that cannot be logged and stored safely is replaced; the call is not refused.

use http::{HeaderMap, HeaderValue};
use tonic::Request;
use uuid::Uuid;

/// Carries the correlation id in both directions.
pub const CORRELATION_HEADER: &str = "x-correlation-id";

const MAX_LENGTH: usize = 128;

/// The correlation id of a request, in its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrelationId(pub String);

/// A new one if the request did not pass the server, as in tests.
pub fn correlation_id<T>(request: &Request<T>) -> String {
    let known = request.extensions().get::<CorrelationId>();
    known.map_or_else(new_id, |id| id.0.clone())
}

/// The caller's id if it has 1 to 128 printable ASCII characters; otherwise the trace id; otherwise a new id.
pub(super) fn choose(headers: &HeaderMap, trace_id: Option<&str>) -> CorrelationId {
    let given = headers.get(CORRELATION_HEADER).and_then(acceptable);
    CorrelationId(match (given, trace_id) {
        (Some(given), _) => given.to_owned(),
        (None, Some(trace_id)) => trace_id.to_owned(),
        (None, None) => new_id(),
    })
}

pub(super) fn header(id: &CorrelationId) -> Option<HeaderValue> {
    HeaderValue::from_str(&id.0).ok()
}

fn acceptable(value: &HeaderValue) -> Option<&str> {
    let printable = |byte: &u8| (b' '..=b'~').contains(byte);
    let text = value.to_str().ok()?;
    let fits = (1..=MAX_LENGTH).contains(&text.len());
    (fits && text.as_bytes().iter().all(printable)).then_some(text)
}

fn new_id() -> String {
    Uuid::now_v7().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(value: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_bytes(value).unwrap();
        headers.insert(CORRELATION_HEADER, value);
        choose(&headers, Some("the-trace")).0
    }

    #[test]
    fn a_callers_id_is_kept() {
        assert_eq!(chosen(b"cart 42/checkout"), "cart 42/checkout");
        let longest = "x".repeat(128);
        assert_eq!(chosen(longest.as_bytes()), longest);
    }

    #[test]
    fn what_cannot_be_logged_safely_is_replaced_by_the_trace_id() {
        assert_eq!(chosen(b""), "the-trace");
        assert_eq!(chosen("größe".as_bytes()), "the-trace");
        assert_eq!(chosen(b"tab\there"), "the-trace");
        assert_eq!(chosen("x".repeat(129).as_bytes()), "the-trace");
    }

    #[test]
    fn without_caller_and_trace_every_request_has_an_id_of_its_own() {
        let first = choose(&HeaderMap::new(), None);
        let second = choose(&HeaderMap::new(), None);
        assert_ne!(first, second);
        assert_ne!(
            correlation_id(&Request::new(())),
            correlation_id(&Request::new(()))
        );
    }
}
