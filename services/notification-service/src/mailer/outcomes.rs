//! Metrics of attempts to send mails, by outcome.

use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};

#[derive(Clone)]
pub(super) struct Outcomes(Counter<u64>);

impl Outcomes {
    pub(super) fn new() -> Self {
        let counter = global::meter("notification-service")
            .u64_counter("angarium.mails")
            .with_unit("{mail}")
            .with_description("Attempts to send a mail, by outcome")
            .build();
        Self(counter)
    }

    pub(super) fn sent(&self) {
        self.count("sent");
    }

    pub(super) fn deferred(&self) {
        self.count("deferred");
    }

    pub(super) fn failed(&self) {
        self.count("failed");
    }

    fn count(&self, outcome: &'static str) {
        let outcome = KeyValue::new("angarium.mail.outcome", outcome);
        self.0.add(1, &[outcome]);
    }
}
