//! Relay and consumer of one service, started and stopped in the order of their dependencies.
//!
//! A shutdown stops receiving, waits for running transactions, then empties the outbox: events of the last call are
//! published too.

use std::sync::Arc;
use std::time::Duration;

use store::end_soon;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::backlog::Budget;
use crate::checkpoint::CheckpointPace;
use crate::connected::Connections;
use crate::consumer::{Consumer, ConsumerConfig, Producers};
use crate::relay::{Relay, RelayConfig};
use crate::retention::{self, Retention};
use crate::store::Store;
use crate::subscription::Subscriptions;
use crate::telemetry::Inventory;
use crate::transport::{Broker, Topology, TopologyMismatch, Transport};

/// What a service publishes and consumes.
pub struct Participant {
    /// AMQP `app-id`, CloudEvents `source`, and the names of its connections.
    pub service: &'static str,
    /// The exchanges that it publishes to.
    pub exchanges: &'static [&'static str],
    /// `None` for a service that only publishes.
    pub subscriptions: Option<Subscriptions>,
}

impl Participant {
    /// Its exchanges, queue and bindings.
    pub fn topology(&self) -> Topology {
        let topology = Topology::publishing(self.exchanges.iter().copied());
        match &self.subscriptions {
            None => topology,
            Some(subscriptions) => topology.consuming(subscriptions.queue()),
        }
    }
}

/// The settings of a service's engine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Receiving and handling.
    pub consumer: ConsumerConfig,
    /// The maximum age of the oldest pending event; beyond it, commands are refused.
    pub outbox_budget: Duration,
    /// The maximum number of pending events, unroutable ones included; beyond it, commands are refused.
    pub outbox_max_pending: u32,
    /// How long rows are kept.
    pub retention: Retention,
    /// The pace of the lists of published events.
    pub checkpoints: CheckpointPace,
}

impl Default for EngineConfig {
    /// 15 minutes of outbox: most outages of a broker are shorter, and a caller should not wait longer. A busy service
    /// makes about a million events in that time, about a gigabyte.
    fn default() -> Self {
        Self {
            consumer: ConsumerConfig::default(),
            outbox_budget: Duration::from_secs(15 * 60),
            outbox_max_pending: 1_000_000,
            retention: Retention::default(),
            checkpoints: CheckpointPace::default(),
        }
    }
}

/// The relay and consumer of a service.
pub struct Engine {
    store: Store,
    transport: Arc<dyn Transport>,
    relay: Relay,
    consumer: Option<Consumer>,
    queue: Option<String>,
    connected: watch::Receiver<bool>,
    complete: Option<watch::Receiver<bool>>,
    inventory: Inventory,
    budget: Budget,
    retention: Retention,
}

impl Engine {
    /// Connects relay and consumer with the service's database and `broker`.
    pub fn new(
        store: &Store,
        broker: &Broker,
        participant: Participant,
        config: EngineConfig,
    ) -> Self {
        let transport = broker.transport(participant.service, participant.topology());
        store.publishes_to(transport.system());
        let connections = Connections::new();
        let relay = Relay::new(
            store.clone(),
            Arc::clone(&transport),
            RelayConfig {
                retention: Some(config.retention.outbox),
                checkpoints: Some((exchanges(&participant), config.checkpoints)),
                ..RelayConfig::new(participant.service)
            },
        )
        .with_link(connections.link());
        let producers = Arc::new(Producers::new(
            config.retention.inbox,
            config.consumer.retry.longest_age,
        ));
        let queue = participant
            .subscriptions
            .as_ref()
            .map(|subscriptions| subscriptions.queue().name);
        let consumer = participant.subscriptions.map(|subscriptions| {
            Consumer::new(
                store.clone(),
                Arc::clone(&transport),
                subscriptions,
                ConsumerConfig {
                    inbox_retention: config.retention.inbox,
                    ..config.consumer
                },
            )
            .of(&connections)
            .comparing(Arc::clone(&producers))
        });
        let complete = consumer.as_ref().map(Consumer::complete);
        Self {
            complete,
            store: store.clone(),
            transport,
            relay,
            consumer,
            queue,
            inventory: Inventory::new(
                participant.service,
                connections.watch(),
                store.consuming(),
                producers,
            ),
            connected: connections.watch(),
            budget: Budget {
                age: config.outbox_budget,
                pending: config.outbox_max_pending,
            },
            retention: config.retention,
        }
    }

    /// Whether the service has all its connections to the broker. Without them, commands still work: events wait.
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }

    /// Whether the service has every event that it subscribes to, as far as checkpoints show. `None` if it consumes
    /// nothing.
    pub fn complete(&self) -> Option<watch::Receiver<bool>> {
        self.complete.clone()
    }

    /// Declares the service's exchanges, queues and bindings before anything is published: an event that precedes its
    /// binding never reaches the queue. Without permission, it checks that they exist. Without the broker, the first
    /// connect does this.
    ///
    /// # Errors
    /// If something is missing that the service may not declare, or the virtual host is refused. An unavailable broker
    /// is no error.
    pub async fn declare(&self) -> Result<(), TopologyMismatch> {
        let Err(error) = self.transport.declare().await else {
            return Ok(());
        };
        if let Some(mismatch) = error.mismatch() {
            return Err(mismatch.clone());
        }
        if error.is_refusal() {
            tracing::error!(%error, "the broker refuses this service; events wait in the outbox until it is let in");
        } else {
            tracing::warn!(%error, "the broker is away; events wait in the outbox until it is back");
        }
        Ok(())
    }

    /// Runs until `stop`; then finishes received deliveries, waits for `committed` (the service itself commits nothing
    /// more), and publishes the rest.
    pub async fn run(self, stop: CancellationToken, committed: CancellationToken) {
        let quiet = CancellationToken::new();
        let receive = async {
            match self.consumer {
                Some(consumer) => Box::pin(consumer.run(stop.clone())).await,
                None => stop.cancelled().await,
            }
            committed.cancelled().await;
            quiet.cancel();
        };
        // Boxed: side by side, the parts are larger than the stack of a thread.
        tokio::join!(
            receive,
            Box::pin(self.relay.run(quiet.clone())),
            Box::pin(end_soon(
                &stop,
                self.store.backlog().watch(&self.store, self.budget, &stop)
            )),
            Box::pin(end_soon(
                &stop,
                retention::run(&self.store, &self.retention, self.queue.as_deref(), &stop)
            )),
            Box::pin(self.inventory.run(&self.store, &stop)),
        );
    }
}

fn exchanges(participant: &Participant) -> Vec<String> {
    let exchanges = participant.exchanges.iter();
    exchanges.map(|exchange| (*exchange).to_owned()).collect()
}
