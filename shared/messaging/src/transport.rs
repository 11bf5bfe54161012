//! The engine's requirements for a broker, and what it may rely on.
//!
//! Two implementations pass one conformance suite: [`RabbitMq`] and [`Embedded`]. Both are at-least-once: a confirmed
//! message is durable in every queue that it was routed to, and an unacknowledged one comes again. After any error the
//! engine requests a new publisher or receiver, so no implementation recovers by itself.

use std::sync::Arc;

use async_trait::async_trait;
use event::Message;
use futures::future::BoxFuture;

use crate::telemetry::System;

mod embedded;
mod rabbitmq;
pub(crate) mod topic;
mod topology;

pub use embedded::{Embedded, EmbeddedTransport};
pub use rabbitmq::{RabbitMq, RabbitMqConfig, RabbitMqTls};
pub use topology::{
    Binding, DEAD_LETTER_EXCHANGE, Queue, Topology, TopologyMismatch, dead_letter_queue,
};
pub(crate) use topology::{Setting, SettingValue, dead_letter_settings};

/// The broker of a process.
#[derive(Clone)]
pub enum Broker {
    /// RabbitMQ, connected on demand.
    RabbitMq(RabbitMqConfig),
    /// An open queue file, shared by the services of this process.
    Embedded(Embedded),
}

impl Broker {
    /// The broker as `service` with `topology` sees it.
    pub fn transport(&self, service: &str, topology: Topology) -> Arc<dyn Transport> {
        match self {
            Self::RabbitMq(config) => Arc::new(RabbitMq::new(config.clone(), service, topology)),
            Self::Embedded(embedded) => Arc::new(embedded.transport(topology)),
        }
    }
}

/// A broker, as one service sees it.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The name in traces and metrics.
    fn system(&self) -> System;

    /// Ensures that this service's exchanges, queues and bindings exist. Idempotent; also part of each
    /// [`publisher`](Self::publisher) and [`receiver`](Self::receiver).
    async fn declare(&self) -> Result<(), TransportError>;

    /// Connects for publishing.
    async fn publisher(&self) -> Result<Box<dyn Publisher>, TransportError>;

    /// Receives from `queue`, with at most `prefetch` unacknowledged messages.
    async fn receiver(
        &self,
        queue: &str,
        prefetch: u16,
    ) -> Result<Box<dyn Receiver>, TransportError>;
}

/// A publishing connection.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Waits until the broker accepts messages; it refuses them while memory or disk is low.
    async fn ready(&self) -> Result<(), TransportError>;

    /// Publishes a message. The returned future is the confirm, so that many can be outstanding. Messages are queued in
    /// the order of these calls.
    async fn publish(&self, message: &Message) -> Result<Confirm, TransportError>;

    /// Returns after the connection is lost; never, if there is none to lose. For idle connections.
    async fn lost(&self) -> TransportError {
        std::future::pending().await
    }
}

/// The broker's answer, later.
pub type Confirm = BoxFuture<'static, Result<Confirmation, TransportError>>;

/// The broker's answer for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// Durable in at least one queue.
    Routed,
    /// Accepted but not stored: no queue is bound for it.
    Unrouted,
    /// Refused, with the broker's reason: a full queue, for example.
    Refused(String),
}

/// Receives from one queue. Dropping it returns unacknowledged messages to the queue.
#[async_trait]
pub trait Receiver: Send {
    /// The next message. Cancelling the future loses nothing.
    async fn receive(&mut self) -> Result<Delivery, TransportError>;

    /// Acknowledges deliveries: the messages never come again.
    async fn acknowledge(&mut self, ack: Ack) -> Result<(), TransportError>;

    /// Raises the prefetch. Called while at most one message is unacknowledged.
    async fn widen(&mut self, prefetch: u16) -> Result<(), TransportError>;
}

/// A message that belongs to the receiver until it is acknowledged or the receiver is dropped.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Counts the deliveries of a receiver, from 1.
    pub tag: u64,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// What was published.
    pub message: Message,
}

/// Which deliveries to acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// Only this one.
    One(u64),
    /// This one and all before it.
    UpTo(u64),
}

/// The broker cannot be reached, or refused an operation.
#[derive(Debug, thiserror::Error)]
#[error("{action} failed: {cause}")]
pub struct TransportError {
    action: String,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl TransportError {
    /// `action` completes the sentence "… failed".
    pub fn new(
        action: impl Into<String>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            action: action.into(),
            cause: cause.into(),
        }
    }

    /// Set if something is missing that the service may not declare.
    pub fn mismatch(&self) -> Option<&TopologyMismatch> {
        self.cause()
    }

    pub(crate) fn is_refusal(&self) -> bool {
        let error = self.cause::<lapin::Error>();
        error.is_some_and(|error| matches!(error.kind(), lapin::ErrorKind::ProtocolError(_)))
    }

    pub(crate) fn cause<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.cause.downcast_ref()
    }
}
