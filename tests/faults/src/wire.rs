//! A transport in front of the real one: it records the deliveries, and loses messages on request.
//!
//! The record is a file with one line for each delivery. The line is written before the engine gets the delivery, so it survives
//! an abort.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use event::Message;
use messaging::System;
use messaging::transport::{
    Ack, Confirm, Delivery, Publisher, Receiver, Transport, TransportError,
};

use crate::deposit;

/// Follows the id of a delivery that the broker marks as redelivered.
const AGAIN: &str = " again";

/// A delivery in the record.
pub(crate) struct Recorded {
    pub(crate) id: String,
    pub(crate) redelivered: bool,
}

/// The deliveries in the file `record`.
pub(crate) fn read(record: &Path) -> Result<Vec<Recorded>> {
    let record = std::fs::read_to_string(record)?;
    let recorded = |line: &str| Recorded {
        id: line.strip_suffix(AGAIN).unwrap_or(line).to_owned(),
        redelivered: line.ends_with(AGAIN),
    };
    Ok(record.lines().map(recorded).collect())
}

pub(crate) struct Wire {
    inner: Arc<dyn Transport>,
    record: Arc<File>,
    /// Every Nth message is lost on the way, together with its connection; 0 loses none.
    lost: u32,
    published: Arc<AtomicU32>,
}

impl Wire {
    pub(crate) fn before(
        inner: Arc<dyn Transport>,
        record: &Path,
        lost: u32,
    ) -> Result<Arc<dyn Transport>> {
        let opened = OpenOptions::new().create(true).append(true).open(record);
        Ok(Arc::new(Self {
            inner,
            record: Arc::new(opened.with_context(|| record.display().to_string())?),
            lost,
            published: Arc::default(),
        }))
    }
}

#[async_trait]
impl Transport for Wire {
    fn system(&self) -> System {
        self.inner.system()
    }

    async fn declare(&self) -> Result<(), TransportError> {
        self.inner.declare().await
    }

    async fn publisher(&self) -> Result<Box<dyn Publisher>, TransportError> {
        Ok(Box::new(Lossy {
            inner: self.inner.publisher().await?,
            lost: self.lost,
            published: Arc::clone(&self.published),
        }))
    }

    async fn receiver(
        &self,
        queue: &str,
        prefetch: u16,
    ) -> Result<Box<dyn Receiver>, TransportError> {
        let inner = self.inner.receiver(queue, prefetch).await?;
        if queue != deposit::QUEUE {
            // A dead letter of the broker is not a delivery to a handler.
            return Ok(inner);
        }
        Ok(Box::new(Recording {
            inner,
            record: Arc::clone(&self.record),
        }))
    }
}

struct Lossy {
    inner: Box<dyn Publisher>,
    lost: u32,
    published: Arc<AtomicU32>,
}

#[async_trait]
impl Publisher for Lossy {
    async fn ready(&self) -> Result<(), TransportError> {
        self.inner.ready().await
    }

    async fn publish(&self, message: &Message) -> Result<Confirm, TransportError> {
        let number = self.published.fetch_add(1, Ordering::SeqCst) + 1;
        if self.lost > 0 && number.is_multiple_of(self.lost) {
            // For the parent process, which checks that the event arrives later.
            println!("lost {}", message.message_id.as_deref().unwrap_or("-"));
            return Ok(Box::pin(async {
                let error = TransportError::new("waiting for a publisher confirm", "cut off");
                Err(error)
            }));
        }
        self.inner.publish(message).await
    }
}

struct Recording {
    inner: Box<dyn Receiver>,
    record: Arc<File>,
}

#[async_trait]
impl Receiver for Recording {
    async fn receive(&mut self) -> Result<Delivery, TransportError> {
        let delivery = self.inner.receive().await?;
        let id = delivery.message.message_id.as_deref().unwrap_or("-");
        let again = if delivery.redelivered { AGAIN } else { "" };
        let written = writeln!(&*self.record, "{id}{again}");
        written.map_err(|error| TransportError::new("recording a delivery", error))?;
        if switches::broken("ack-before-commit") {
            self.inner.acknowledge(Ack::One(delivery.tag)).await?;
        }
        Ok(delivery)
    }

    async fn acknowledge(&mut self, ack: Ack) -> Result<(), TransportError> {
        if switches::broken("ack-before-commit") {
            return Ok(());
        }
        self.inner.acknowledge(ack).await
    }

    async fn widen(&mut self, prefetch: u16) -> Result<(), TransportError> {
        self.inner.widen(prefetch).await
    }
}
