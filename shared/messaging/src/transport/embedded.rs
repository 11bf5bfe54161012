//! The embedded transport: durable queues in one SQLite file, for a system in one process on one machine.
//!
//! Its guarantees are the broker's: topic routing, confirms after the disk write, prefetch, redelivery of
//! unacknowledged messages, a delivery limit with dead-letter queues. The file is locked against a second process.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Publisher, Receiver, Topology, Transport, TransportError};
use crate::pruning::Bound;
use crate::telemetry::System;

mod publisher;
mod queue_file;
mod receiver;

use queue_file::QueueFile;

/// An open queue file. Clones share it.
#[derive(Clone)]
pub struct Embedded {
    file: Arc<QueueFile>,
    publications: Arc<publisher::Publications>,
}

impl Embedded {
    /// Opens or creates the file at `path`, with its folder.
    ///
    /// # Errors
    /// If it cannot be created or read, or another process has it open.
    pub async fn open(path: &Path) -> Result<Self, TransportError> {
        Ok(Self {
            file: Arc::new(QueueFile::open(path).await?),
            publications: Arc::default(),
        })
    }

    /// All bindings, also those that no service declares any more.
    pub fn bound(&self) -> Vec<Bound> {
        self.file.bound()
    }

    pub(crate) async fn unbind(&self, bound: &[Bound]) -> Result<(), TransportError> {
        let fail = |error| TransportError::new("removing bindings from the queue file", error);
        self.file.unbind(bound).await.map_err(fail)
    }

    /// The transport of one service, which declares `topology`.
    pub fn transport(&self, topology: Topology) -> EmbeddedTransport {
        EmbeddedTransport {
            embedded: self.clone(),
            topology,
        }
    }
}

/// The transport as one service sees it.
pub struct EmbeddedTransport {
    embedded: Embedded,
    topology: Topology,
}

#[async_trait]
impl Transport for EmbeddedTransport {
    fn system(&self) -> System {
        System {
            name: "angarium_embedded",
            server: None,
        }
    }

    async fn declare(&self) -> Result<(), TransportError> {
        match &self.topology.queue {
            None => Ok(()),
            Some(queue) => self.embedded.file.declare(queue).await,
        }
    }

    async fn publisher(&self) -> Result<Box<dyn Publisher>, TransportError> {
        self.declare().await?;
        let Embedded { file, publications } = self.embedded.clone();
        Ok(Box::new(publisher::EmbeddedPublisher {
            file,
            publications,
        }))
    }

    async fn receiver(
        &self,
        queue: &str,
        prefetch: u16,
    ) -> Result<Box<dyn Receiver>, TransportError> {
        self.declare().await?;
        Ok(Box::new(receiver::EmbeddedReceiver::new(
            Arc::clone(&self.embedded.file),
            queue,
            prefetch,
        )))
    }
}
