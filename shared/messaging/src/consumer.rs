//! Takes events from a service's queue to their effects, each exactly once.
//!
//! Deliveries are dealt to a few lanes by their aggregate: one aggregate's events stay in order, different ones go side by
//! side. A lane takes what has arrived in one transaction, and one by one where that fails. A delivery is acknowledged after
//! its transaction has committed; whatever has to wait is a row in the inbox by then, so nothing is ever put back.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::connected::{Connections, Link};
use crate::faults;
use crate::reconnect::Reconnect;
use crate::retry::RetryPolicy;
use crate::store::Store;
use crate::subscription::Subscriptions;
use crate::telemetry::Instruments;
use crate::transport::{Delivery, Receiver, Transport, TransportError};

mod acknowledgements;
mod attempt;
mod dead_letters;
mod decision;
mod deferred;
mod handling;
mod lane;
mod processing;

use acknowledgements::Acknowledgements;
use deferred::Deferred;
use handling::Handling;
use lane::Lane;

/// With how many a connection begins. What comes first may have ended the process that had it before: where it does so again,
/// it ends alone, and no neighbour is counted as delivered in vain each time, until the broker gives that up as well.
const NARROW: u16 = 1;

/// How a consumer works.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// How many deliveries may be unacknowledged at once.
    pub prefetch: u16,
    /// How many transactions run side by side.
    pub lanes: usize,
    /// When a handler counts as failed because it does not end.
    pub handler_time_out: Duration,
    /// When a failed event is tried again, and when it is given up on.
    pub retry: RetryPolicy,
    /// How long the first event to arrive of an unknown aggregate waits for earlier ones, where order is kept. Longer than
    /// a replica that has one of those can keep it: until its heartbeat or its handlers' time is over.
    pub baseline_wait: Duration,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            prefetch: 20,
            lanes: 4,
            handler_time_out: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            baseline_wait: Duration::from_secs(120),
        }
    }
}

/// The consumer of one service's queue.
pub struct Consumer {
    store: Store,
    transport: Arc<dyn Transport>,
    handling: Arc<Handling>,
    config: ConsumerConfig,
    link: Link,
    /// That of the dead letters.
    dead_letters: Link,
}

impl Consumer {
    /// A consumer that brings what comes from `transport` to the handlers in `subscriptions`.
    pub fn new(
        store: Store,
        transport: Arc<dyn Transport>,
        subscriptions: Subscriptions,
        config: ConsumerConfig,
    ) -> Self {
        let handling = Arc::new(Handling {
            subscriptions,
            retry: config.retry.clone(),
            handler_time_out: config.handler_time_out,
            baseline_wait: config.baseline_wait,
            system: transport.system(),
            instruments: Instruments::new(),
        });
        let connections = Connections::new();
        Self {
            store,
            transport,
            handling,
            config,
            link: connections.link(),
            dead_letters: connections.link(),
        }
    }

    /// Tells `connections` whether it has its own.
    pub(crate) fn of(mut self, connections: &Connections) -> Self {
        self.link = connections.link();
        self.dead_letters = connections.link();
        self
    }

    /// Runs until `stop`, then finishes what it has begun. It does not fail: it reconnects.
    pub async fn run(self, stop: CancellationToken) {
        let deferred = Deferred::new(
            self.store.clone(),
            Arc::clone(&self.handling),
            self.config.lanes,
        );
        tokio::join!(
            self.receive(&stop),
            self.take_in_dead_letters(&stop),
            deferred.run(&stop)
        );
    }

    async fn receive(&self, stop: &CancellationToken) {
        let queue = self.handling.consumer();
        let mut reconnect = Reconnect::default();
        while !stop.is_cancelled() {
            let connecting = self.transport.receiver(queue, NARROW);
            let Some(connected) = stop.run_until_cancelled(connecting).await else {
                return;
            };
            let ended = match connected {
                Ok(receiver) => {
                    reconnect.connected();
                    self.receive_until_broken(receiver, stop).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                tracing::warn!(queue, %error, "the consumer starts over; nothing is lost");
                reconnect.pause(stop).await;
            }
        }
    }

    async fn receive_until_broken(
        &self,
        mut receiver: Box<dyn Receiver>,
        stop: &CancellationToken,
    ) -> Result<(), TransportError> {
        let _up = self.link.up();
        let (settled, mut done) = mpsc::unbounded_channel();
        let mut running = JoinSet::new();
        let lanes: Vec<_> = (0..self.config.lanes.max(1))
            .map(|_| {
                // Never full: no more are unacknowledged than the prefetch allows.
                let (lane, deliveries) = mpsc::channel(self.config.prefetch.max(1).into());
                let worker = Lane::new(
                    self.store.clone(),
                    Arc::clone(&self.handling),
                    settled.clone(),
                );
                running.spawn(worker.run(deliveries, stop.clone()));
                lane
            })
            .collect();
        drop(settled);

        let mut acknowledgements = Acknowledgements::default();
        let mut narrow = true;
        let mut ended = loop {
            tokio::select! {
                Some(tags) = done.recv() => {
                    if let Err(error) = acknowledge(&mut *receiver, &mut acknowledgements, tags, &mut done).await {
                        break Err(error);
                    }
                }
                delivery = receiver.receive() => match delivery {
                    Ok(delivery) => {
                        // The first that nobody had before: whatever was returned is done.
                        if narrow && !delivery.redelivered {
                            narrow = false;
                            if let Err(error) = receiver.widen(self.config.prefetch).await {
                                break Err(error);
                            }
                        }
                        deal(&lanes, delivery).await;
                    }
                    Err(error) => break Err(error),
                },
                // A lane ends once nothing is dealt to it any more; before that it has broken.
                Some(ended) = running.join_next() => {
                    let error = ended.err().map_or_else(|| "it has ended".to_owned(), |error| error.to_string());
                    break Err(TransportError::new("a lane broke; what it had comes again", error));
                }
                () = stop.cancelled() => break Ok(()),
            }
        };
        // What the lanes have is finished before anything is received anew, or one aggregate would be in two lanes.
        drop(lanes);
        faults::point("stopping");
        while let Some(tags) = done.recv().await {
            if ended.is_ok() {
                ended = acknowledge(&mut *receiver, &mut acknowledgements, tags, &mut done).await;
            }
        }
        while let Some(lane) = running.join_next().await {
            if let Err(error) = lane {
                tracing::error!(%error, "a lane broke; what it had comes again");
            }
        }
        ended
    }
}

/// Acknowledges `tags` together with all others that are done by now.
async fn acknowledge(
    receiver: &mut dyn Receiver,
    acknowledgements: &mut Acknowledgements,
    mut tags: Vec<u64>,
    done: &mut mpsc::UnboundedReceiver<Vec<u64>>,
) -> Result<(), TransportError> {
    while let Ok(more) = done.try_recv() {
        tags.extend(more);
    }
    for ack in acknowledgements.settle(tags) {
        receiver.acknowledge(ack).await?;
    }
    faults::point("acknowledged");
    Ok(())
}

async fn deal(lanes: &[mpsc::Sender<Delivery>], delivery: Delivery) {
    faults::point("delivered");
    let mut hasher = DefaultHasher::new();
    event::partition_key(&delivery.message).hash(&mut hasher);
    let index = usize::try_from(hasher.finish() % lanes.len() as u64).unwrap_or(0);
    // A lane that is gone has been reported; what is dealt to it stays unacknowledged and comes again.
    let _ = lanes[index].send(delivery).await;
}
