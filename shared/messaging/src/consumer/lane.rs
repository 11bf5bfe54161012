//! One line of deliveries, handled in the order of arrival.
//!
//! All waiting deliveries share one transaction, because the commit is half the cost of a small effect; always in the
//! same order, so that two replicas do not deadlock. If that fails, each is handled alone, so that one bad event does
//! not affect its neighbours. Without the store, the lane waits with its deliveries unacknowledged: this costs no
//! attempt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event::Message;
use sea_orm::DbErr;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::observe;
use super::outcome::{Failure, StoreFailed};
use super::pipeline::{Pipeline, TOGETHER};
use super::step::Item;
use super::transaction::TOO_LONG;
use crate::checkpoint;
use crate::reconnect::Reconnect;
use crate::store::Store;
use crate::transport::Delivery;

/// Above it, the next transactions get smaller, because others wait for the locked rows.
const TOGETHER_FOR: Duration = Duration::from_millis(100);

/// After so many failures of the database in one handler, the lane goes on if the database takes the event as a row.
const FAILURES: usize = 5;

/// How long a handler may block its lane; then the retry worker runs it from the start.
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
                // They return to the queue with the connection.
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
            // A checkpoint needs no inbox row, no span and no place in a batch. One that fails takes an event's path.
            match store::end_soon(stop, self.follow(&delivery.message)).await {
                Some(true) => {
                    self.settle(&[delivery]);
                    continue;
                }
                Some(false) => (),
                // The deliveries return to the queue with the connection.
                None => return,
            }
            observe::count_delivery(&self.pipeline, &delivery.message);
            events.push(delivery);
        }
        let mut rest = &events[..];
        while !rest.is_empty() && !stop.is_cancelled() {
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

    /// `false` at `stop`: the delivery returns to the queue with the connection.
    async fn until_taken_up(
        &self,
        delivery: &Delivery,
        item: Item<'_>,
        failure: &Failure,
        stop: &CancellationToken,
    ) -> bool {
        let takes_long = matches!(failure, Failure::TooLong(id) if *id == item.event_id());
        let mut reconnect = Reconnect::to(self.store.waits());
        let mut failures = 0;
        while !stop.is_cancelled() {
            let taken = match takes_long {
                true => self
                    .pipeline
                    .leave_to_retries(&self.store, item, TOO_LONG)
                    .await
                    .map_err(StoreFailed::from),
                false => self.pipeline.alone(&self.store, item, PATIENCE).await,
            };
            let Err(StoreFailed { error, in_handler }) = taken else {
                self.settle(&[delivery]);
                return true;
            };
            failures += usize::from(in_handler);
            if failures >= FAILURES && !stop.is_cancelled() {
                let cause = format!("the database failed its transactions: {error}");
                let left = self
                    .pipeline
                    .leave_to_retries(&self.store, item, &cause)
                    .await;
                if left.is_ok() {
                    self.settle(&[delivery]);
                    return true;
                }
            }
            tracing::warn!(%error, event.id = item.event_id(), "consuming waits for the database");
            reconnect.pause(stop).await;
        }
        false
    }

    fn settle(&self, batch: &[&Delivery]) {
        // Without a receiver the connection is gone: the deliveries come again, as duplicates.
        let _ = self
            .settled
            .send(batch.iter().map(|delivery| delivery.tag).collect());
    }
}

/// If events fail, the work for their neighbours is wasted, so the size shrinks.
pub(super) fn next_most(most: usize, went_well: bool, took: Duration) -> usize {
    if went_well && took <= TOGETHER_FOR {
        (most * 2).min(TOGETHER)
    } else {
        (most / 2).max(1)
    }
}

/// The order within a shared transaction.
pub(super) fn turn(message: &Message) -> (String, Option<i64>, Uuid) {
    let aggregate = event::partition_key(message).to_owned();
    (
        aggregate,
        event::sequence(message),
        event::event_id(message),
    )
}
