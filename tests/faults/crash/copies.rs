//! A queue beside the consumer's, which gets whatever the broker takes and which no process reads: what was published twice is
//! in it twice, whoever had the other one when it died.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use messaging::Subscriptions;
use messaging::transport::{Ack, Topology};

use crate::deposit::Deposited;
use crate::ledger::effects;
use crate::tables;
use crate::world::{World, look_into};

const QUEUE: &str = "copies_queue";
const PREFETCH: u16 = 100;
/// All of it was confirmed, so it is there.
const SOON: Duration = Duration::from_secs(60);

/// How often each event was in the queue so far.
#[derive(Default)]
pub(super) struct Copies(HashMap<String, u32>);

impl Copies {
    /// To be called while no process is there.
    pub(super) async fn bind(world: &World) -> Result<Self> {
        world.transport_of(topology()).await?.declare().await?;
        Ok(Self::default())
    }

    /// Reads on until there is one of each event, and tells how many are there twice since the last time. To be called once it
    /// is quiet and nobody is there: the last ones were published after all that was published again.
    pub(super) async fn read(&mut self, world: &World) -> Result<usize> {
        let producer = look_into(&world.producer).await?;
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
        tokio::time::timeout(SOON, self.read_all(world, missing))
            .await
            .context("an event is not in the queue beside")??;
        Ok(self.twice() - before)
    }

    async fn read_all(&mut self, world: &World, missing: Vec<String>) -> Result<()> {
        let transport = world.transport_of(topology()).await?;
        let mut receiver = transport.receiver(QUEUE, PREFETCH).await?;
        while missing.iter().any(|id| !self.0.contains_key(id)) {
            let delivery = receiver.receive().await?;
            let id = delivery.message.message_id.context("an event has an id")?;
            if !delivery.redelivered {
                // Otherwise we had it the last time.
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
    // Its handler is never called.
    let all = Subscriptions::new(QUEUE).on::<Deposited>(effects::record);
    Topology::default().consuming(all.queue())
}
