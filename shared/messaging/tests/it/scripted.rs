//! A transport that a test controls: the test gets published messages, and answers them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use event::Message;
use futures::FutureExt as _;
use messaging::System;
use messaging::transport::{Confirm, Confirmation, Publisher, Receiver, Transport, TransportError};
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) struct Scripted {
    refusals: AtomicU32,
    publications: mpsc::UnboundedSender<Publication>,
    takes: watch::Sender<usize>,
}

/// Dropping it breaks the connection.
pub(crate) struct Publication {
    pub(crate) message: Message,
    answer: oneshot::Sender<Confirmation>,
}

impl Publication {
    pub(crate) fn answer(self, confirmation: Confirmation) {
        // The receiver is gone if the connection was dropped.
        let _ = self.answer.send(confirmation);
    }

    pub(crate) fn event(&self) -> (String, i64) {
        let envelope = event::Envelope::from_message(&self.message).unwrap();
        (
            envelope.aggregate_id,
            envelope.aggregate_version.unwrap_or_default(),
        )
    }
}

impl Scripted {
    pub(crate) fn new(refusals: u32) -> (Arc<Self>, mpsc::UnboundedReceiver<Publication>) {
        let (publications, published) = mpsc::unbounded_channel();
        let refusals = AtomicU32::new(refusals);
        let transport = Self {
            refusals,
            publications,
            takes: watch::Sender::new(usize::MAX),
        };
        (Arc::new(transport), published)
    }

    /// Then it blocks, like a broker without free memory.
    pub(crate) fn takes(&self, messages: usize) {
        self.takes.send_replace(messages);
    }
}

#[async_trait]
impl Transport for Scripted {
    fn system(&self) -> System {
        System {
            name: "scripted",
            server: None,
        }
    }

    async fn declare(&self) -> Result<(), TransportError> {
        Ok(())
    }

    async fn publisher(&self) -> Result<Box<dyn Publisher>, TransportError> {
        let one_less = |left: u32| left.checked_sub(1);
        let (set, get) = (Ordering::SeqCst, Ordering::SeqCst);
        if self.refusals.fetch_update(set, get, one_less).is_ok() {
            return Err(TransportError::new("connecting", "it is away"));
        }
        Ok(Box::new(ScriptedPublisher {
            publications: self.publications.clone(),
            takes: self.takes.clone(),
        }))
    }

    async fn receiver(&self, _: &str, _: u16) -> Result<Box<dyn Receiver>, TransportError> {
        Err(TransportError::new("receiving", "this one only publishes"))
    }
}

struct ScriptedPublisher {
    publications: mpsc::UnboundedSender<Publication>,
    takes: watch::Sender<usize>,
}

impl ScriptedPublisher {
    async fn unblocked(&self) {
        let mut takes = self.takes.subscribe();
        let _ = takes.wait_for(|left| *left > 0).await;
    }
}

#[async_trait]
impl Publisher for ScriptedPublisher {
    async fn ready(&self) -> Result<(), TransportError> {
        self.unblocked().await;
        Ok(())
    }

    async fn publish(&self, message: &Message) -> Result<Confirm, TransportError> {
        let (answer, answered) = oneshot::channel();
        let message = message.clone();
        let broken = |_| TransportError::new("publishing", "the connection is lost");
        self.unblocked().await;
        self.takes.send_modify(|left| *left -= 1);
        self.publications
            .send(Publication { message, answer })
            .map_err(|_| TransportError::new("publishing", "the test is over"))?;
        Ok(answered.map(move |answer| answer.map_err(broken)).boxed())
    }
}
