//! Receives from the queue file.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::DbErr;
use tokio::sync::watch;

use super::queue_file::{QueueFile, Taken};
use crate::transport::{Ack, Delivery, Receiver, TransportError};

pub(super) struct EmbeddedReceiver {
    file: Arc<QueueFile>,
    queue: String,
    prefetch: usize,
    arrivals: watch::Receiver<()>,
    /// The delivery is not recorded yet.
    uncounted: Vec<Taken>,
    ready: VecDeque<Taken>,
    /// Message ids by delivery tag.
    unacknowledged: BTreeMap<u64, i64>,
    last_tag: u64,
}

impl EmbeddedReceiver {
    pub(super) fn new(file: Arc<QueueFile>, queue: &str, prefetch: u16) -> Self {
        let mut arrivals = file.arrivals(queue);
        // Messages in the queue count as an arrival.
        arrivals.mark_changed();
        Self {
            file,
            queue: queue.to_owned(),
            prefetch: prefetch.max(1).into(),
            arrivals,
            uncounted: Vec::new(),
            ready: VecDeque::new(),
            unacknowledged: BTreeMap::new(),
            last_tag: 0,
        }
    }

    /// Returns whether to try again: all taken messages may have been delivered too often. Each step stores its result
    /// in `self` before the next await, so that a cancellation loses nothing.
    async fn fetch(&mut self) -> Result<bool, DbErr> {
        if self.uncounted.is_empty() {
            let room = self.prefetch.saturating_sub(self.unacknowledged.len());
            self.uncounted = self.file.take(&self.queue, room).await?;
        }
        let found = !self.uncounted.is_empty();
        let limit = self.file.delivery_limit(&self.queue);
        let exhausted = self
            .uncounted
            .iter()
            .filter(|taken| taken.deliveries > limit);
        let exhausted: Vec<i64> = exhausted.map(|taken| taken.id).collect();
        if !exhausted.is_empty() {
            tracing::error!(
                queue = self.queue,
                messages = exhausted.len(),
                "dead-lettered: delivered too often"
            );
            self.file.dead_letter(&self.queue, &exhausted).await?;
            self.uncounted.retain(|taken| taken.deliveries <= limit);
        }
        self.file.count_delivery(&self.uncounted).await?;
        self.ready.extend(self.uncounted.drain(..));
        Ok(found)
    }
}

#[async_trait]
impl Receiver for EmbeddedReceiver {
    async fn receive(&mut self) -> Result<Delivery, TransportError> {
        let fail = |error| TransportError::new("reading the queue file", error);
        loop {
            if let Some(taken) = self.ready.pop_front() {
                self.last_tag += 1;
                self.unacknowledged.insert(self.last_tag, taken.id);
                return Ok(Delivery {
                    tag: self.last_tag,
                    redelivered: taken.deliveries > 0,
                    message: taken.message,
                });
            }
            if self.unacknowledged.len() < self.prefetch {
                // Before the query, so that messages that arrive meanwhile trigger the next one.
                self.arrivals.mark_unchanged();
                if self.fetch().await.map_err(fail)? {
                    continue;
                }
            }
            self.arrivals
                .changed()
                .await
                .map_err(|error| TransportError::new("reading the queue file", error))?;
        }
    }

    async fn acknowledge(&mut self, ack: Ack) -> Result<(), TransportError> {
        let (Ack::One(named) | Ack::UpTo(named)) = ack;
        if !self.unacknowledged.contains_key(&named) {
            // Like RabbitMQ: a wrong tag must not acknowledge another delivery.
            let cause = format!("delivery {named} is not outstanding");
            return Err(TransportError::new(
                "acknowledging in the queue file",
                cause,
            ));
        }
        let settled: Vec<(u64, i64)> = match ack {
            Ack::One(tag) => self
                .unacknowledged
                .get(&tag)
                .map(|id| (tag, *id))
                .into_iter()
                .collect(),
            Ack::UpTo(tag) => self
                .unacknowledged
                .range(..=tag)
                .map(|(tag, id)| (*tag, *id))
                .collect(),
        };
        let ids: Vec<i64> = settled.iter().map(|(_, id)| *id).collect();
        self.file
            .remove(&ids)
            .await
            .map_err(|error| TransportError::new("acknowledging in the queue file", error))?;
        for (tag, _) in settled {
            self.unacknowledged.remove(&tag);
        }
        Ok(())
    }

    async fn widen(&mut self, prefetch: u16) -> Result<(), TransportError> {
        self.prefetch = prefetch.max(1).into();
        Ok(())
    }
}

impl Drop for EmbeddedReceiver {
    fn drop(&mut self) {
        let held = self
            .uncounted
            .iter()
            .chain(&self.ready)
            .map(|taken| taken.id);
        self.file
            .give_back(held.chain(self.unacknowledged.values().copied()));
        self.file.announce(&self.queue);
    }
}
