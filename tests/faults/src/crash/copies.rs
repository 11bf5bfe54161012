//! A second queue with the bindings of the consumer's queue. No service reads it, so a message that was published twice is in it
//! twice, whichever process died.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use messaging::Subscriptions;
use messaging::transport::{Ack, Topology};

use crate::deposit::Deposited;
use crate::fixture::{Fixture, look_into};
use crate::tables;
use crate::workload::effects;

const QUEUE: &str = "copies_queue";
const PREFETCH: u16 = 100;
/// All events were confirmed, so they are in the queue.
const SOON: Duration = Duration::from_secs(60);

/// How often each event was in the queue so far.
#[derive(Default)]
pub(super) struct Copies(HashMap<String, u32>);

impl Copies {
    /// Call it while no service runs.
    pub(super) async fn bind(fixture: &Fixture) -> Result<Self> {
        fixture.transport_of(topology()).await?.declare().await?;
        Ok(Self::default())
    }

    /// Reads until each event was there, and returns how many events came twice since the last call. Call it after the services
    /// were quiet and have ended: then the last events were published after all repeated ones.
    pub(super) async fn read(&mut self, fixture: &Fixture) -> Result<usize> {
        let producer = look_into(&fixture.producer).await?;
        let events = tables::rows(
            &producer,
            "SELECT {text event_id} AS event_id FROM angarium_events",
            [],
        )
        .await?;
        producer.close().await?;
        let events: Result<Vec<String>, _> =
            events.iter().map(|row| row.try_get_by_index(0)).collect();
        let mut missing = events?;
        missing.retain(|id| !self.0.contains_key(id));
        let before = self.twice();
        tokio::time::timeout(SOON, self.read_all(fixture, missing))
            .await
            .context("an event is missing in the second queue")??;
        Ok(self.twice() - before)
    }

    async fn read_all(&mut self, fixture: &Fixture, missing: Vec<String>) -> Result<()> {
        let transport = fixture.transport_of(topology()).await?;
        let mut receiver = transport.receiver(QUEUE, PREFETCH).await?;
        while missing.iter().any(|id| !self.0.contains_key(id)) {
            let delivery = receiver.receive().await?;
            let id = delivery.message.message_id.context("an event has an id")?;
            if !delivery.redelivered {
                // A redelivered one was counted in the last call.
                *self.0.entry(id).or_default() += 1;
            }
            receiver.acknowledge(Ack::One(delivery.tag)).await?;
        }
        Ok(())
    }

    fn twice(&self) -> usize {
        self.0.values().filter(|copies| **copies > 1).count()
    }
}

fn topology() -> Topology {
    // The handler is never called.
    let all = Subscriptions::new(QUEUE).on::<Deposited>(effects::record);
    Topology::default().consuming(all.queue())
}
