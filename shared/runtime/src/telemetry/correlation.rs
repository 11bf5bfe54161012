//! Remembers the `correlation_id` of a span, so that every JSON line inside it has it at the top level.

use std::fmt::Debug;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The remembered field of the span.
const FIELD: &str = "correlation_id";

/// Stored with the span.
struct CorrelationId(String);

pub(super) struct Layer;

impl<S> tracing_subscriber::Layer<S> for Layer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut found = Found(None);
        attributes.record(&mut found);
        found.keep(id, &context);
    }

    // The server learns the id after it has opened the span.
    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut found = Found(None);
        values.record(&mut found);
        found.keep(id, &context);
    }
}

/// The id of the innermost span around `event` that has one.
pub(super) fn of<S>(event: &Event<'_>, context: &Context<'_, S>) -> Option<String>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let mut spans = context.event_scope(event)?;
    spans.find_map(|span| {
        let extensions = span.extensions();
        extensions.get::<CorrelationId>().map(|id| id.0.clone())
    })
}

struct Found(Option<String>);

impl Found {
    fn keep<S>(self, id: &Id, context: &Context<'_, S>)
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        if let (Some(value), Some(span)) = (self.0, context.span(id)) {
            span.extensions_mut().replace(CorrelationId(value));
        }
    }
}

impl Visit for Found {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == FIELD {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == FIELD {
            self.0 = Some(format!("{value:?}"));
        }
    }
}
