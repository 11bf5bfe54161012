//! The names in traces and metrics: OpenTelemetry's semantic conventions for messaging (development status, v1.44), or
//! names under `angarium.`.
//!
//! Attributes that only OpenTelemetry needs are set directly and are no fields of the `tracing` span, so that log lines
//! do not repeat them. `docs/telemetry.md` lists all exports; a test compares.

mod counting;
mod incomplete;
mod instruments;
mod inventory;

pub(crate) use instruments::Instruments;
pub(crate) use inventory::Inventory;

use event::Message;
use opentelemetry::KeyValue;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

pub(crate) const SYSTEM: &str = "messaging.system";
pub(crate) const OPERATION_NAME: &str = "messaging.operation.name";
pub(crate) const OPERATION_TYPE: &str = "messaging.operation.type";
pub(crate) const DESTINATION: &str = "messaging.destination.name";
pub(crate) const ERROR_TYPE: &str = "error.type";
pub(crate) const OUTCOME: &str = "angarium.outcome";
/// Several services may share a process.
pub(crate) const SERVICE: &str = "angarium.service";

pub(crate) const MESSAGE_ID: &str = "messaging.message.id";
pub(crate) const CONVERSATION_ID: &str = "messaging.message.conversation_id";
pub(crate) const AGGREGATE_ID: &str = "aggregate.id";

pub(crate) const ROUTING_KEY: &str = "messaging.rabbitmq.destination.routing_key";

/// The broker in traces and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// `rabbitmq`, or our own name if the conventions have none.
    pub name: &'static str,
    /// If it is reached over a network.
    pub server: Option<(String, u16)>,
}

impl System {
    pub(crate) fn describe(
        &self,
        span: &Span,
        message: &Message,
        operation: (&'static str, &'static str),
        destination: &str,
    ) {
        if span.is_disabled() {
            return;
        }
        let (name, kind) = operation;
        span.set_attribute(SYSTEM, self.name);
        span.set_attribute(OPERATION_NAME, name);
        span.set_attribute(OPERATION_TYPE, kind);
        span.set_attribute(DESTINATION, destination.to_owned());
        span.set_attribute(ROUTING_KEY, message.routing_key.clone());
        span.set_attribute(MESSAGE_ID, event::event_id(message).to_string());
        if let Some(correlation_id) = &message.correlation_id {
            span.set_attribute(CONVERSATION_ID, correlation_id.clone());
        }
        if let Some((host, port)) = &self.server {
            span.set_attribute("server.address", host.clone());
            span.set_attribute("server.port", i64::from(*port));
        }
    }

    pub(crate) fn attributes(
        &self,
        operation: (&'static str, &'static str),
        destination: &str,
        error: Option<&'static str>,
    ) -> Vec<KeyValue> {
        let (name, kind) = operation;
        let mut attributes = vec![
            KeyValue::new(SYSTEM, self.name),
            KeyValue::new(OPERATION_NAME, name),
            KeyValue::new(OPERATION_TYPE, kind),
            KeyValue::new(DESTINATION, destination.to_owned()),
        ];
        if let Some((host, port)) = &self.server {
            attributes.push(KeyValue::new("server.address", host.clone()));
            attributes.push(KeyValue::new("server.port", i64::from(*port)));
        }
        attributes.extend(error.map(|error| KeyValue::new(ERROR_TYPE, error)));
        attributes
    }
}

pub(crate) fn destination(exchange: &str, routing_key: &str) -> String {
    format!("{exchange}:{routing_key}")
}

/// The routing key of an unknown message is foreign text, and no metric may grow with it.
pub(crate) fn source(message: &Message, queue: &str, known: bool) -> String {
    if known {
        format!("{}:{}:{queue}", message.exchange, message.routing_key)
    } else {
        queue.to_owned()
    }
}

pub(crate) fn fail(span: &Span, error: &'static str) {
    span.set_attribute(ERROR_TYPE, error);
    span.set_status(opentelemetry::trace::Status::error(error));
}
