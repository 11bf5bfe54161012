//! Remembers the `correlation_id` and the `event.id` of a span, so that every line inside it has them.

use std::fmt::Debug;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

const CORRELATION: &str = "correlation_id";
const EVENT: &str = "event.id";

#[derive(Clone, Default)]
pub(super) struct Ids {
    pub(super) correlation: Option<String>,
    pub(super) event: Option<String>,
}

pub(super) struct Layer;

impl<S> tracing_subscriber::Layer<S> for Layer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut found = Ids::default();
        attributes.record(&mut found);
        found.keep(id, &context);
    }

    // The server gets the id after it has opened the span.
    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut found = Ids::default();
        values.record(&mut found);
        found.keep(id, &context);
    }
}

/// The id of the innermost span around `event` that has one.
pub(super) fn of<S>(event: &Event<'_>, context: &Context<'_, S>) -> Option<String>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    around(context.event_scope(event)).correlation
}

/// Each id of the innermost span in `scope` that has one.
pub(super) fn around<'a, S>(scope: Option<Scope<'a, S>>) -> Ids
where
    S: for<'span> LookupSpan<'span>,
{
    let mut ids = Ids::default();
    for span in scope.into_iter().flatten() {
        if let Some(found) = span.extensions().get::<Ids>() {
            ids = found.clone().or(ids);
        }
    }
    ids
}

impl Ids {
    /// Takes what `self` lacks from `other`.
    fn or(self, other: Self) -> Self {
        Self {
            correlation: other.correlation.or(self.correlation),
            event: other.event.or(self.event),
        }
    }

    fn keep<S>(self, id: &Id, context: &Context<'_, S>)
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        if self.correlation.is_none() && self.event.is_none() {
            return;
        }
        if let Some(span) = context.span(id) {
            let mut extensions = span.extensions_mut();
            let before = extensions.remove::<Self>().unwrap_or_default();
            extensions.insert(before.or(self));
        }
    }
}

impl Visit for Ids {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            CORRELATION => self.correlation = Some(value.to_owned()),
            EVENT => self.event = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if matches!(field.name(), CORRELATION | EVENT) {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}
