//! W3C Baggage with an allow-list: baggage is a stranger's text, and would be stored with every event.

use std::collections::BTreeSet;

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt as _, KeyValueMetadata};
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::BaggagePropagator;

#[derive(Debug)]
pub(super) struct AllowedBaggage {
    keys: BTreeSet<String>,
    all: BaggagePropagator,
}

impl AllowedBaggage {
    pub(super) fn of(keys: &[String]) -> Self {
        Self {
            keys: keys.iter().cloned().collect(),
            all: BaggagePropagator::new(),
        }
    }

    fn allowed(&self, given: &Baggage) -> Vec<KeyValueMetadata> {
        let entries = given.iter();
        entries
            .filter(|(key, _)| self.keys.contains(key.as_str()))
            .map(|(key, (value, metadata))| {
                KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone())
            })
            .collect()
    }
}

impl TextMapPropagator for AllowedBaggage {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        self.all.inject_context(context, injector);
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        if self.keys.is_empty() {
            return context.clone();
        }
        let given = self.all.extract_with_context(&Context::new(), extractor);
        let allowed = self.allowed(given.baggage());
        if allowed.is_empty() {
            return context.clone();
        }
        context.with_baggage(allowed)
    }

    fn fields(&self) -> FieldIter<'_> {
        self.all.fields()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn carried(keys: &[&str], header: &str) -> Option<String> {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let propagator = AllowedBaggage::of(&keys);
        let came = HashMap::from([("baggage".to_owned(), header.to_owned())]);
        let context = propagator.extract_with_context(&Context::new(), &came);
        let mut goes = HashMap::new();
        propagator.inject_context(&context, &mut goes);
        goes.remove("baggage")
    }

    #[test]
    fn only_the_keys_that_are_named_get_through() {
        let header = "tenant=blue,session=secret";
        assert_eq!(carried(&["tenant"], header).as_deref(), Some("tenant=blue"));
    }

    #[test]
    fn without_a_list_nothing_gets_through() {
        assert_eq!(carried(&[], "tenant=blue"), None);
    }
}
