//! Brings the events of a service's queue to their effects, each exactly once.
//!
//! Deliveries are hashed to a few lanes by aggregate: one aggregate stays in order, different ones run in parallel. A
//! lane handles all waiting deliveries in one transaction, or one by one if that fails. A delivery is acknowledged
//! after the commit; an event that must wait is an inbox row by then.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{Announced, Comparing, Completeness, Receiving};
use crate::connected::{Connections, Link};
use crate::reconnect::Reconnect;
use crate::store::Store;
use crate::subscription::Subscriptions;
use crate::telemetry::Instruments;
use crate::transport::{Ack, Receiver, Transport, TransportError};

mod acks;
mod calls;
mod config;
mod dead_letters;
mod decide;
mod lane;
mod lanes;
mod observe;
mod outcome;
mod park;
mod pipeline;
mod plan;
mod producers;
mod retry_worker;
mod step;
mod transaction;

use acks::Done;
pub use config::ConsumerConfig;
use lane::Lane;
use lanes::Lanes;
use pipeline::Pipeline;
pub(crate) use plan::OVERTAKEN;
pub(crate) use producers::Producers;
use retry_worker::RetryWorker;

/// The first prefetch of a connection. If its first delivery ends the process again, it ends alone, and no neighbour
/// counts as delivered in vain, until the broker gives it up.
const NARROW: u16 = 1;

/// The consumer of one service's queue.
pub struct Consumer {
    store: Store,
    transport: Arc<dyn Transport>,
    pipeline: Arc<Pipeline>,
    config: ConsumerConfig,
    link: Link,
    dead_letters: Link,
    producers: Option<Arc<Producers>>,
    complete: Completeness,
    announced: Announced,
}

impl Consumer {
    /// Passes the deliveries of `transport` to the handlers in `subscriptions`.
    pub fn new(
        store: Store,
        transport: Arc<dyn Transport>,
        subscriptions: Subscriptions,
        config: ConsumerConfig,
    ) -> Self {
        let checkpoints = Receiving {
            consumer: subscriptions.consumer(),
            bindings: subscriptions.bindings().clone(),
            missing_after: config.missing_after,
            inbox_retention: config.inbox_retention,
        };
        let pipeline = Arc::new(Pipeline {
            checkpoints,
            subscriptions,
            retry: config.retry.clone(),
            handler_time_out: config.handler_time_out,
            baseline_wait: config.baseline_wait,
            unknown_wait: config.unknown_wait,
            system: transport.system(),
            instruments: Instruments::new(),
        });
        let connections = Connections::new();
        let complete = Completeness::new(pipeline.consumer());
        Self {
            complete,
            announced: Announced::default(),
            store,
            transport,
            pipeline,
            config,
            link: connections.link(),
            dead_letters: connections.link(),
            producers: None,
        }
    }

    pub(crate) fn comparing(mut self, producers: Arc<Producers>) -> Self {
        self.producers = Some(producers);
        self
    }

    /// `connections` reports whether it is connected.
    pub(crate) fn of(mut self, connections: &Connections) -> Self {
        self.link = connections.link();
        self.dead_letters = connections.link();
        self
    }

    pub(crate) fn complete(&self) -> watch::Receiver<bool> {
        self.complete.watch()
    }

    /// Runs until `stop`, then finishes the work in progress. It does not fail: it reconnects.
    pub async fn run(self, stop: CancellationToken) {
        let retries = RetryWorker::new(
            self.store.clone(),
            Arc::clone(&self.pipeline),
            self.config.lanes,
        );
        let comparing = Comparing {
            consumer: self.pipeline.consumer(),
            missing_after: self.config.missing_after,
        };
        let reconciling = async {
            tokio::join!(
                Box::pin(comparing.run(&self.store, &stop)),
                Box::pin(self.complete.run(&self.store, &stop)),
                Box::pin(
                    self.announced
                        .keep(&self.store, self.pipeline.consumer(), &stop)
                ),
            )
        };
        // Boxed: side by side, the parts are larger than the stack of a thread.
        tokio::join!(
            Box::pin(self.receive(&stop)),
            Box::pin(self.take_in_dead_letters(&stop)),
            Box::pin(retries.run(&stop)),
            Box::pin(retries.keep_bounds(&stop)),
            store::end_soon(&stop, reconciling),
        );
    }

    async fn receive(&self, stop: &CancellationToken) {
        let queue = self.pipeline.consumer();
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
        let up = self.link.up();
        let (mut lanes, mut done) = self.lanes(stop);
        let mut ended = self
            .deal_until_broken(&mut *receiver, &mut lanes, &mut done, stop)
            .await;
        // Before the lanes end: while the database is away, they take as long as its outage.
        drop(up);
        // All lanes end before the next connection starts new ones: an aggregate must not be in two.
        lanes.close();
        while let Some(acks) = done.next().await {
            if ended.is_ok() {
                ended = acknowledge(&mut *receiver, acks).await;
            }
        }
        lanes.ended().await;
        ended
    }

    async fn deal_until_broken(
        &self,
        receiver: &mut dyn Receiver,
        lanes: &mut Lanes,
        done: &mut Done,
        stop: &CancellationToken,
    ) -> Result<(), TransportError> {
        let mut narrow = true;
        loop {
            tokio::select! {
                // Lanes end after the stop signal; that is no failure.
                biased;
                () = stop.cancelled() => return Ok(()),
                broken = lanes.broken() => return Err(broken),
                Some(acks) = done.next() => acknowledge(receiver, acks).await?,
                delivery = receiver.receive() => {
                    let delivery = delivery?;
                    self.announced.note(&delivery.message);
                    if let Some(producers) = &self.producers {
                        producers.note(&delivery.message);
                    }
                    // All returned ones are done.
                    if narrow && !delivery.redelivered {
                        narrow = false;
                        receiver.widen(self.config.prefetch).await?;
                    }
                    lanes.deal(delivery).await;
                }
            }
        }
    }

    fn lanes(&self, stop: &CancellationToken) -> (Lanes, Done) {
        let (settled, done) = Done::channel();
        let lane = || {
            Lane::new(
                self.store.clone(),
                Arc::clone(&self.pipeline),
                settled.clone(),
            )
        };
        let lanes = Lanes::start(self.config.lanes, self.config.prefetch, lane, stop);
        (lanes, done)
    }
}

async fn acknowledge(receiver: &mut dyn Receiver, acks: Vec<Ack>) -> Result<(), TransportError> {
    for ack in acks {
        receiver.acknowledge(ack).await?;
    }
    Ok(())
}
