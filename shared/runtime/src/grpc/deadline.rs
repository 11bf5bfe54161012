//! The deadline of a call: the client's, at most the server's limit.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use tonic::Request;

/// The client's deadline from `grpc-timeout`. A handler with a stream of answers ends it then: the layers limit only
/// the time until the answer begins.
pub fn client_deadline<T>(request: &Request<T>) -> Option<Instant> {
    let text = request.metadata().get("grpc-timeout")?.to_str().ok()?;
    Instant::now().checked_add(parse(text)?)
}

/// A malformed header sets no limit, as in the transport.
pub(super) fn limit(headers: &HeaderMap, ceiling: Duration) -> Duration {
    let allowed = headers.get("grpc-timeout").and_then(|value| {
        let text = value.to_str().ok()?;
        parse(text)
    });
    allowed.map_or(ceiling, |allowed| allowed.min(ceiling))
}

/// `TimeoutValue TimeoutUnit` of PROTOCOL-HTTP2.md: at most eight digits and one letter.
fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(value * 3600)),
        'M' => Some(Duration::from_secs(value * 60)),
        'S' => Some(Duration::from_secs(value)),
        'm' => Some(Duration::from_millis(value)),
        'u' => Some(Duration::from_micros(value)),
        'n' => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_deadline_is_known_to_the_handler() {
        let mut request = Request::new(());
        assert_eq!(client_deadline(&request), None);
        let before = Instant::now();
        let timeout = "90S".parse().unwrap();
        request.metadata_mut().insert("grpc-timeout", timeout);
        let deadline = client_deadline(&request).unwrap();
        assert!(deadline >= before + Duration::from_secs(90));
    }

    fn limit_of(value: &'static str) -> Duration {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", value.parse().unwrap());
        limit(&headers, Duration::from_secs(10))
    }

    #[test]
    fn the_shorter_of_client_and_ceiling_holds() {
        assert_eq!(limit_of("250m"), Duration::from_millis(250));
        assert_eq!(limit_of("3S"), Duration::from_secs(3));
        assert_eq!(limit_of("7u"), Duration::from_micros(7));
        assert_eq!(limit_of("7n"), Duration::from_nanos(7));
        assert_eq!(limit_of("99999999H"), Duration::from_secs(10));
        assert_eq!(limit_of("1M"), Duration::from_secs(10));
        let headers = HeaderMap::new();
        let ceiling = Duration::from_secs(10);
        assert_eq!(limit(&headers, ceiling), ceiling);
    }

    #[test]
    fn a_malformed_timeout_leaves_the_ceiling() {
        for value in [
            "",
            "S",
            "10",
            "-1S",
            "1.5S",
            "123456789S",
            "1x",
            "1ß",
            "+1S",
        ] {
            let parsed = parse(value);
            assert!(parsed.is_none(), "{value} was read as {parsed:?}");
        }
    }
}
