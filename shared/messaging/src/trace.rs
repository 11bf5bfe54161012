//! Trace context between `tracing` spans and the two strings that travel with an event.
//!
//! Only OpenTelemetry's API is used: without a propagator (a test, a program that does no tracing) events carry no context
//! and nothing else changes.

use std::collections::HashMap;

pub use event::TraceContext;
use opentelemetry::global::get_text_map_propagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The context of the current span, for the row of something that is done later: an event, or work of a service's own.
pub fn current() -> TraceContext {
    let mut carrier = HashMap::new();
    let context = Span::current().context();
    get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut carrier));
    TraceContext {
        traceparent: carrier
            .remove("traceparent")
            .filter(|parent| !parent.is_empty()),
        tracestate: carrier
            .remove("tracestate")
            .filter(|state| !state.is_empty()),
    }
}

/// Makes `span` a child of the span whose context was kept in `trace`.
pub fn continue_in(span: &Span, trace: &TraceContext) {
    let Some(parent) = &trace.traceparent else {
        return;
    };
    let mut carrier = HashMap::from([("traceparent".to_owned(), parent.clone())]);
    carrier.extend(
        trace
            .tracestate
            .clone()
            .map(|state| ("tracestate".to_owned(), state)),
    );
    let context = get_text_map_propagator(|propagator| propagator.extract(&carrier));
    // Fails only where no OpenTelemetry layer is installed: then there is no trace to continue.
    let _ = span.set_parent(context);
}
