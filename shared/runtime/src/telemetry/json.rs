//! One JSON object per line on stdout: `timestamp`, `level`, `target`, `message`, the event's own fields,
//! `service.name`, `trace_id`, `span_id`, `correlation_id`, and the fields of all open spans below `span`.
//!
//! The spans' fields have their own key: a duplicate key would break the line for strict readers.

use json_subscriber::{FieldWriter, JsonLayer};
use opentelemetry::trace::TraceContextExt;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::correlation;

pub(super) fn layer<S>(service_name: &'static str) -> JsonLayer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let mut layer = JsonLayer::stdout();
    layer
        .with_timer("timestamp", SystemTime)
        .with_level("level")
        .with_target("target")
        .with_flattened_event()
        .with_flattened_span_fields("span");
    // A closed stdout cannot be reported.
    layer.log_internal_errors(false);
    layer.add_static_field("service.name", service_name.into());
    layer.add_multiple_dynamic_fields(write_ids);
    layer.add_dynamic_field("correlation_id", |event, context| {
        correlation::of(event, context)
    });
    layer
}

fn write_ids<S>(event: &Event<'_>, context: &Context<'_, S>, writer: &mut FieldWriter<'_>)
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let Some(span) = context.event_span(event) else {
        return;
    };
    let id = span.id();
    let context = tracing::dispatcher::get_default(|dispatch| {
        tracing_opentelemetry::get_otel_context(&id, dispatch)
    });
    let Some(context) = context else {
        return;
    };
    let span = context.span();
    let span = span.span_context();
    if span.is_valid() {
        // Only invalid JSON fails.
        let _ = writer.write_field("trace_id", span.trace_id().to_string());
        let _ = writer.write_field("span_id", span.span_id().to_string());
    }
}
