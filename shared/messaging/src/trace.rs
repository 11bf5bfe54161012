//! Converts trace context between `tracing` spans and the strings that travel with an event.
//!
//! Without a propagator (a test, a program without tracing) events have no context. The propagator decides which
//! baggage may travel.

use std::collections::HashMap;

pub use event::TraceContext;
use opentelemetry::Context;
use opentelemetry::global::get_text_map_propagator;
use opentelemetry::trace::TraceContextExt as _;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The context of the current span, for a row that is processed later.
pub fn current() -> TraceContext {
    of(&Span::current())
}

/// Or of the innermost recorded span around it.
pub(crate) fn of(span: &Span) -> TraceContext {
    let mut carrier = HashMap::new();
    let mut context = span.context();
    if !context.span().span_context().is_valid() {
        context = Context::current();
    }
    get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut carrier));
    TraceContext::accept(
        carrier.get("traceparent").map(String::as_str),
        carrier.get("tracestate").map(String::as_str),
        carrier.get("baggage").map(String::as_str),
    )
}

/// Makes `span` a child of the span in `trace` for people who follow a call, and links it, as the conventions require.
pub fn continue_in(span: &Span, trace: &TraceContext) {
    let Some(context) = extract(trace) else {
        return;
    };
    let creation = context.span().span_context().clone();
    if creation.is_valid() {
        span.add_link(creation);
    }
    // Fails only without an OpenTelemetry layer: then there is no trace to continue.
    let _ = span.set_parent(context);
}

fn extract(trace: &TraceContext) -> Option<Context> {
    let carried = [
        ("traceparent", &trace.traceparent),
        ("tracestate", &trace.tracestate),
        ("baggage", &trace.baggage),
    ];
    let carrier: HashMap<String, String> = carried
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
        .collect();
    // Not from the current context: an event without a context starts a new trace.
    (!carrier.is_empty()).then(|| {
        get_text_map_propagator(|propagator| {
            propagator.extract_with_context(&Context::new(), &carrier)
        })
    })
}
