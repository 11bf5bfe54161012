//! A transport that confirms some messages without a delivery, as if only another consumer's queue had taken them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use event::{CHECKPOINT_TYPE, Checkpoint, Message};
use futures::FutureExt as _;
use messaging::System;
use messaging::transport::{Confirm, Confirmation, Publisher, Receiver, Transport, TransportError};
use prost::Message as _;

pub(crate) struct Losing {
    inner: Arc<dyn Transport>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    loses: Mutex<Loses>,
    lost: Mutex<Vec<Message>>,
    published: Mutex<Vec<Message>>,
    unanswered: AtomicUsize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Loses {
    #[default]
    Nothing,
    Events,
    Checkpoints,
    Everything,
    Confirms,
}

impl Losing {
    pub(crate) fn new(inner: Arc<dyn Transport>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            shared: Arc::default(),
        })
    }

    pub(crate) fn loses(&self, what: Loses) {
        *self.shared.loses.lock().unwrap() = what;
    }

    pub(crate) fn lost(&self) -> Vec<Message> {
        self.shared.lost.lock().unwrap().clone()
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.shared.unanswered.load(Ordering::Relaxed)
    }

    pub(crate) fn checkpoints(&self) -> Vec<Checkpoint> {
        let published = self.shared.published.lock().unwrap();
        let checkpoints = published.iter().filter(|message| is_checkpoint(message));
        let read = checkpoints.map(|message| Checkpoint::decode(message.body.clone()).unwrap());
        read.collect()
    }
}

pub(crate) fn is_checkpoint(message: &Message) -> bool {
    message.event_type.as_deref() == Some(CHECKPOINT_TYPE)
}

#[async_trait]
impl Transport for Losing {
    fn system(&self) -> System {
        self.inner.system()
    }

    async fn declare(&self) -> Result<(), TransportError> {
        self.inner.declare().await
    }

    async fn publisher(&self) -> Result<Box<dyn Publisher>, TransportError> {
        Ok(Box::new(LosingPublisher {
            inner: self.inner.publisher().await?,
            shared: Arc::clone(&self.shared),
        }))
    }

    async fn receiver(&self, queue: &str, most: u16) -> Result<Box<dyn Receiver>, TransportError> {
        self.inner.receiver(queue, most).await
    }
}

struct LosingPublisher {
    inner: Box<dyn Publisher>,
    shared: Arc<Shared>,
}

#[async_trait]
impl Publisher for LosingPublisher {
    async fn ready(&self) -> Result<(), TransportError> {
        self.inner.ready().await
    }

    async fn publish(&self, message: &Message) -> Result<Confirm, TransportError> {
        let loses = *self.shared.loses.lock().unwrap();
        if loses == Loses::Confirms && is_checkpoint(message) {
            self.shared.unanswered.fetch_add(1, Ordering::Relaxed);
            self.inner.publish(message).await?.await?;
            return Ok(futures::future::pending().boxed());
        }
        let is_lost = {
            self.shared.published.lock().unwrap().push(message.clone());
            match loses {
                Loses::Nothing | Loses::Confirms => false,
                Loses::Events => !is_checkpoint(message),
                Loses::Checkpoints => is_checkpoint(message),
                Loses::Everything => true,
            }
        };
        if !is_lost {
            return self.inner.publish(message).await;
        }
        self.shared.lost.lock().unwrap().push(message.clone());
        Ok(futures::future::ready(Ok(Confirmation::Routed)).boxed())
    }

    async fn lost(&self) -> TransportError {
        self.inner.lost().await
    }
}
