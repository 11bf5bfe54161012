//! One span per call, by OpenTelemetry's RPC conventions, below the caller's span if there is one.
//!
//! Its level is ERROR only so that a strict log filter keeps the ids on the remaining lines.

use http::HeaderMap;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{TraceContextExt, TraceId};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// For paths that are not methods: callers must not create spans and metrics without end.
pub(super) const OTHER: &str = "_OTHER";

/// `angarium.user.v1.UserService/GetUser`.
pub(super) fn method(path: &str) -> &str {
    let method = path.strip_prefix('/').unwrap_or(path);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/');
    let well_formed = method.len() <= 256
        && method.chars().all(plain)
        && method.split('/').count() == 2
        && method.split('/').all(|part| !part.is_empty());
    if well_formed { method } else { OTHER }
}

/// Without a well-formed `traceparent` it starts a trace.
pub(super) fn span(method: &str, headers: &HeaderMap) -> Span {
    let span = tracing::error_span!(
        "rpc",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.status_code = Empty,
        correlation_id = Empty,
        trace_id = Empty,
    );
    let caller = opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.extract(&Headers(headers))
    });
    if caller.span().span_context().is_valid() || !caller.baggage().is_empty() {
        // Fails only without telemetry; then there are no ids.
        let _ = span.set_parent(caller);
    }
    span
}

/// In hex; `None` without telemetry.
pub(super) fn trace_id(span: &Span) -> Option<String> {
    let context = span.context();
    let id = context.span().span_context().trace_id();
    (id != TraceId::INVALID).then(|| id.to_string())
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_named_without_the_leading_slash() {
        let path = "/angarium.user.v1.UserService/GetUser";
        assert_eq!(method(path), "angarium.user.v1.UserService/GetUser");
    }

    #[test]
    fn what_is_no_method_has_one_name() {
        for path in ["", "/", "/a", "/a/b/c", "/a/", "//b", "/a b/c", "/ä/b"] {
            assert_eq!(method(path), OTHER, "{path}");
        }
        assert_eq!(method(&format!("/{}/b", "a".repeat(300))), OTHER);
    }
}
