//! The metadata of a call or event: the method's path, time-out, correlation id and trace.

use std::time::Duration;

use event::TraceContext;
use http::{HeaderMap, HeaderValue};

const CEILING: Duration = Duration::from_secs(10);

/// Reads the headers of a call, and the trace of an event.
pub fn headers(bytes: &[u8]) {
    let [path, timeout, correlation, traceparent, tracestate, baggage] = crate::lines(bytes);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("grpc-timeout", &timeout),
        ("x-correlation-id", &correlation),
        ("traceparent", &traceparent),
        ("tracestate", &tracestate),
        ("baggage", &baggage),
    ] {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            headers.insert(name, value);
        }
    }
    let read = runtime::grpc::read_headers(&path, &headers, CEILING);
    // All values are short enough to be logged and stored, and only we set the time limit.
    assert!(read.method.len() <= 256);
    assert!(read.limit <= CEILING);
    assert!((1..=128).contains(&read.correlation_id.0.len()));
    assert!(
        read.correlation_id
            .0
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte))
    );

    let trace = TraceContext::accept(Some(&traceparent), Some(&tracestate), Some(&baggage));
    if let Some(accepted) = &trace.traceparent {
        assert_eq!((accepted, accepted.len()), (&traceparent, 55));
    }
    assert!(trace.tracestate.is_none_or(|state| state.len() <= 512));
    assert!(trace.baggage.is_none_or(|baggage| baggage.len() <= 1024));
}
