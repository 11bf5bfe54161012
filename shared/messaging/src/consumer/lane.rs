//! One line of deliveries, taken up in the order in which they came.
//!
//! What has arrived is handled in one transaction, because the commit is half the cost of a small effect; always in the same
//! order, so that two replicas do not lock the same rows crosswise. Where that fails, each is handled alone, so that one bad event
//! costs its neighbours nothing. While the store is away, the lane waits with its deliveries unacknowledged: it is nobody's
//! failure, and nothing is handed back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event::Message;
use sea_orm::DbErr;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::observe;
use super::outcome::Failure;
use super::pipeline::{Pipeline, TOGETHER};
use super::step::Item;
use crate::checkpoint;
use crate::reconnect::Reconnect;
use crate::store::Store;
use crate::transport::Delivery;

/// How long a transaction may take before the next ones get fewer: others wait for the rows that it has locked.
const TOGETHER_FOR: Duration = Duration::from_millis(100);

/// How long a handler may keep its lane. One that takes longer goes on in the retry worker, from its beginning.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Lane {
    store: Store,
    pipeline: Arc<Pipeline>,
    settled: mpsc::UnboundedSender<Vec<u64>>,
}

impl Lane {
    pub(super) fn new(
        store: Store,
        pipeline: Arc<Pipeline>,
        settled: mpsc::UnboundedSender<Vec<u64>>,
    ) -> Self {
        Self {
            store,
            pipeline,
            settled,
        }
    }

    pub(super) async fn run(
        self,
        mut deliveries: mpsc::Receiver<Delivery>,
        stop: CancellationToken,
    ) {
        let (mut batch, mut most) = (Vec::with_capacity(TOGETHER), TOGETHER);
        while deliveries.recv_many(&mut batch, TOGETHER).await > 0 {
            if stop.is_cancelled() {
                // Not begun, so not ours: they go back to the queue with the connection.
                return;
            }
            batch.sort_by_cached_key(|delivery| turn(&delivery.message));
            self.take_up(&batch, &mut most, &stop).await;
            batch.clear();
        }
    }

    async fn take_up(&self, batch: &[Delivery], most: &mut usize, stop: &CancellationToken) {
        let mut events = Vec::with_capacity(batch.len());
        for delivery in batch {
            // It needs no row in the inbox, no span and no place in a batch. What goes wrong with one goes wrong as with an event.
            if self.follow(&delivery.message).await {
                self.settle(&[delivery]);
                continue;
            }
            observe::count_delivery(&self.pipeline, &delivery.message);
            events.push(delivery);
        }
        let mut rest = &events[..];
        while !rest.is_empty() {
            let (group, later) = rest.split_at(rest.len().min(*most));
            let begun = Instant::now();
            let items: Vec<_> = group.iter().map(|it| Item::arrived(&it.message)).collect();
            let together = match &items[..] {
                [_] => Err(Failure::Apart),
                items => self.pipeline.together(&self.store, items).await,
            };
            match &together {
                Ok(()) => self.settle(group),
                Err(failure) => {
                    for (delivery, item) in group.iter().zip(items) {
                        if !self.until_taken_up(delivery, item, failure, stop).await {
                            return;
                        }
                    }
                }
            }
            let went_well = together.is_ok() || group.len() == 1;
            *most = next_most(*most, went_well, begun.elapsed());
            rest = later;
        }
    }

    /// Whether the message is a checkpoint that was followed.
    async fn follow(&self, message: &Message) -> bool {
        let Some((source, checkpoint)) = checkpoint::read(message) else {
            return false;
        };
        let following = async {
            let transaction = self.store.begin().await?;
            let checkpoints = &self.pipeline.checkpoints;
            checkpoints
                .follow(&transaction, &source, &checkpoint)
                .await?;
            transaction.commit().await
        };
        let followed: Result<(), DbErr> = following.await;
        if let Err(error) = &followed {
            tracing::debug!(%error, producer = source, "a checkpoint is taken up like an event");
        }
        followed.is_ok()
    }

    /// Takes up one delivery and settles it, as soon as the store is there. `false` where it was not there until `stop`. `failure` is that
    /// of the transaction which it shared with others.
    async fn until_taken_up(
        &self,
        delivery: &Delivery,
        item: Item<'_>,
        failure: &Failure,
        stop: &CancellationToken,
    ) -> bool {
        let takes_long = matches!(failure, Failure::TooLong(id) if *id == item.event_id());
        let mut reconnect = Reconnect::to(self.store.waits());
        loop {
            let taken = match takes_long {
                // It has cost the lane its time already.
                true => self.pipeline.leave_to_retries(&self.store, item).await,
                false => self.pipeline.alone(&self.store, item, PATIENCE).await,
            };
            let Err(error) = taken else {
                break;
            };
            tracing::warn!(%error, "consuming pauses for the database");
            reconnect.pause(stop).await;
            if stop.is_cancelled() {
                return false;
            }
        }
        self.settle(&[delivery]);
        true
    }

    fn settle(&self, batch: &[&Delivery]) {
        // Where the connection was given up, nothing receives this; the deliveries then come again, as duplicates.
        let _ = self
            .settled
            .send(batch.iter().map(|delivery| delivery.tag).collect());
    }
}

/// How many share the next transaction, after one of at most `most` that took this long. Where events fail, the work for those beside
/// them is in vain, so they get fewer.
pub(super) fn next_most(most: usize, went_well: bool, took: Duration) -> usize {
    if went_well && took <= TOGETHER_FOR {
        (most * 2).min(TOGETHER)
    } else {
        (most / 2).max(1)
    }
}

/// Where an event stands among those with which it shares a transaction.
pub(super) fn turn(message: &Message) -> (String, Option<i64>, Uuid) {
    let aggregate = event::partition_key(message).to_owned();
    (
        aggregate,
        event::sequence(message),
        event::event_id(message),
    )
}
