//! Trace context between `tracing` spans and the strings that travel with an event.
//!
//! Only OpenTelemetry's API is used: without a propagator (a test, a program that does no tracing) events carry no context
//! and nothing else changes. Which baggage may travel is the propagator's to decide.

use std::collections::HashMap;

pub use event::TraceContext;
use opentelemetry::Context;
use opentelemetry::global::get_text_map_propagator;
use opentelemetry::trace::TraceContextExt as _;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The context of the current span, for the row of something that is done later: an event, or work of a service's own.
pub fn current() -> TraceContext {
    of(&Span::current())
}

/// The context of `span`, or of the innermost one around it that is recorded.
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

/// Makes `span` a child of the span whose context was kept in `trace`, and links it to that one: the conventions ask for the
/// link, and people who follow one call through the system for the parent.
pub fn continue_in(span: &Span, trace: &TraceContext) {
    let Some(context) = extract(trace) else {
        return;
    };
    let creation = context.span().span_context().clone();
    if creation.is_valid() {
        span.add_link(creation);
    }
    // Fails only where no OpenTelemetry layer is installed: then there is no trace to continue.
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
    // From nothing, and not from what happens to be current: an event without a context begins a trace of its own.
    (!carrier.is_empty()).then(|| {
        get_text_map_propagator(|propagator| {
            propagator.extract_with_context(&Context::new(), &carrier)
        })
    })
}
