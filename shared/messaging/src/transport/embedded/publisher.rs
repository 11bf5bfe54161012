//! Publishes into the queue file. Concurrent publications share one transaction, and so one disk flush.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use event::Message;
use tokio::sync::oneshot;

use super::queue_file::QueueFile;
use crate::transport::{Confirm, Confirmation, Publisher, TransportError};

#[derive(Default)]
pub(super) struct Publications {
    waiting: Mutex<Vec<(Message, oneshot::Sender<Confirmation>)>>,
    writing: tokio::sync::Mutex<()>,
}

pub(super) struct EmbeddedPublisher {
    pub(super) file: Arc<QueueFile>,
    pub(super) publications: Arc<Publications>,
}

#[async_trait]
impl Publisher for EmbeddedPublisher {
    async fn ready(&self) -> Result<(), TransportError> {
        Ok(())
    }

    async fn publish(&self, message: &Message) -> Result<Confirm, TransportError> {
        let (confirm, confirmed) = oneshot::channel();
        let mut waiting = self
            .publications
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        waiting.push((message.clone(), confirm));
        drop(waiting);

        let (file, publications) = (Arc::clone(&self.file), Arc::clone(&self.publications));
        Ok(Box::pin(async move {
            publications.write(&file, confirmed).await
        }))
    }
}

impl Publications {
    /// The first one that gets the turn writes all that wait.
    async fn write(
        &self,
        file: &QueueFile,
        mut confirmed: oneshot::Receiver<Confirmation>,
    ) -> Result<Confirmation, TransportError> {
        let writing = self.writing.lock().await;
        if let Ok(confirmation) = confirmed.try_recv() {
            return Ok(confirmation);
        }
        let batch =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let (messages, confirms): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let routed = file
            .append(&messages)
            .await
            .map_err(|error| TransportError::new("writing to the queue file", error))?;
        for (confirm, routed) in confirms.into_iter().zip(routed) {
            // A publisher that has stopped waiting publishes again; consumers drop the duplicate.
            let _ = confirm.send(if routed {
                Confirmation::Routed
            } else {
                Confirmation::Unrouted
            });
        }
        drop(writing);
        confirmed.await.map_err(|_| {
            TransportError::new("writing to the queue file", "an earlier write failed")
        })
    }
}
