//! One event on its way to the broker's confirm: published, traced and measured.
//!
//! The span is a child of the one that created the event, however long ago.

use std::time::{Duration, Instant};

use event::Message;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use opentelemetry::KeyValue;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::confirms::Outcome;
use super::state::Relay;
use crate::outbox::Pending;
use crate::telemetry::{self, DESTINATION, Instruments, System};
use crate::trace;
use crate::transport::{Confirmation, Publisher, TransportError};

const OPERATION: (&str, &str) = ("publish", "send");

impl Relay {
    pub(super) async fn hand_over(
        &self,
        publisher: &dyn Publisher,
        row: &Pending,
    ) -> Result<BoxFuture<'static, Outcome>, TransportError> {
        let (sequence, mut message) = (row.sequence, row.message());
        if let Some(retention) = self.config.retention {
            message.set_outbox_retention_s(retention.as_secs());
        }
        if let Some((_, pace)) = &self.config.checkpoints {
            message.set_checkpoint_interval_s(pace.idle.as_secs().max(1));
        }
        let publishing = Publishing::begin(row, &message, &self.system, &self.instruments);
        match publisher.publish(&message).await {
            Ok(confirm) => Ok(confirm
                .map(move |outcome| {
                    publishing.end(outcome.as_ref().ok());
                    (sequence, outcome)
                })
                .boxed()),
            Err(error) => {
                publishing.end(None);
                Err(error)
            }
        }
    }
}

struct Publishing {
    span: Span,
    system: System,
    instruments: Instruments,
    destination: String,
    event_id: Option<String>,
    event_type: Option<String>,
    may_be_unrouted: bool,
    begun: Instant,
    waited: Duration,
    answered: bool,
}

impl Publishing {
    fn begin(row: &Pending, message: &Message, system: &System, instruments: &Instruments) -> Self {
        let span = tracing::debug_span!(
            parent: None,
            "publish",
            otel.name = format!("publish {}", row.exchange),
            otel.kind = "client",
        );
        let destination = telemetry::destination(&row.exchange, &row.routing_key);
        let waited = row.waited();
        system.describe(&span, message, OPERATION, &destination);
        span.set_attribute("angarium.outbox.wait", waited.as_secs_f64());
        trace::continue_in(&span, &row.envelope.trace);
        Self {
            span,
            system: system.clone(),
            instruments: instruments.clone(),
            destination,
            event_id: message.message_id.clone(),
            event_type: message.event_type.clone(),
            may_be_unrouted: row.may_be_unrouted,
            begun: Instant::now(),
            waited,
            answered: false,
        }
    }

    fn end(mut self, answer: Option<&Confirmation>) {
        self.answered = true;
        self.tell(answer);
    }

    fn tell(&self, answer: Option<&Confirmation>) {
        let error = match answer {
            Some(Confirmation::Routed) => None,
            Some(Confirmation::Unrouted) if self.may_be_unrouted => None,
            Some(Confirmation::Unrouted) => Some("unroutable"),
            Some(Confirmation::Refused(_)) => Some("refused"),
            None => Some("connection_lost"),
        };
        let took = self.begun.elapsed();
        let attributes = self.system.attributes(OPERATION, &self.destination, error);
        self.instruments
            .operation
            .record(took.as_secs_f64(), &attributes);
        self.instruments.sent.add(1, &attributes);
        let _entered = self.span.enter();
        tracing::debug!(
            event.id = self.event_id,
            event.type = self.event_type,
            destination = self.destination,
            error,
            duration_ms = took.as_micros() as f64 / 1000.0,
            "{}",
            if error.is_none() { "published" } else { "not published" }
        );
        let destination = [KeyValue::new(DESTINATION, self.destination.clone())];
        match error {
            None => {
                let lag = (self.waited + took).as_secs_f64();
                self.instruments.lag.record(lag, &destination);
            }
            Some("unroutable") => self.instruments.unroutable.add(1, &destination),
            Some(_) => (),
        }
        if let Some(error) = error {
            telemetry::fail(&self.span, error);
        }
    }
}

impl Drop for Publishing {
    /// The relay has dropped the connection; the event is published again.
    fn drop(&mut self) {
        if !self.answered {
            self.tell(None);
        }
    }
}
