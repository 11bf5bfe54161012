//! One line of deliveries, taken up in the order in which they came.
//!
//! What has arrived is handled in one transaction, because the commit is half the cost of a small effect. Where that fails,
//! each is handled alone, so that one bad event costs its neighbours nothing. While the store is away, the lane waits with
//! its deliveries unacknowledged: it is nobody's failure, and nothing is handed back.

use std::sync::Arc;

use sea_orm::DbErr;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::handling::{Failure, Handling, Outcome};
use crate::faults;
use crate::reconnect::Reconnect;
use crate::store::Store;
use crate::transport::Delivery;

/// The most that shares one transaction.
const TOGETHER: usize = 50;

pub(super) struct Lane {
    store: Store,
    handling: Arc<Handling>,
    settled: mpsc::UnboundedSender<Vec<u64>>,
}

impl Lane {
    pub(super) fn new(
        store: Store,
        handling: Arc<Handling>,
        settled: mpsc::UnboundedSender<Vec<u64>>,
    ) -> Self {
        Self {
            store,
            handling,
            settled,
        }
    }

    pub(super) async fn run(
        self,
        mut deliveries: mpsc::Receiver<Delivery>,
        stop: CancellationToken,
    ) {
        let mut batch = Vec::with_capacity(TOGETHER);
        while deliveries.recv_many(&mut batch, TOGETHER).await > 0 {
            if stop.is_cancelled() {
                // Not begun, so not ours: they go back to the queue with the connection.
                return;
            }
            self.take_up(&batch, &stop).await;
            batch.clear();
        }
    }

    async fn take_up(&self, batch: &[Delivery], stop: &CancellationToken) {
        if batch.len() > 1 && self.together(batch).await.is_ok() {
            self.settle(batch);
            return;
        }
        for delivery in batch {
            let mut reconnect = Reconnect::default();
            while let Err(error) = self.alone(delivery).await {
                tracing::warn!(%error, "consuming pauses: the database is away");
                reconnect.pause(stop).await;
                if stop.is_cancelled() {
                    return;
                }
            }
            self.settle(std::slice::from_ref(delivery));
        }
    }

    async fn together(&self, batch: &[Delivery]) -> Result<(), Failure> {
        let transaction = self.store.begin().await?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for delivery in batch {
            outcomes.push(
                self.handling
                    .arrived(&transaction, &delivery.message)
                    .await?,
            );
        }
        transaction.commit().await?;
        for (delivery, outcome) in batch.iter().zip(outcomes) {
            report(delivery, outcome);
        }
        Ok(())
    }

    async fn alone(&self, delivery: &Delivery) -> Result<(), DbErr> {
        let transaction = self.store.begin().await?;
        let failure = match self.handling.arrived(&transaction, &delivery.message).await {
            Ok(outcome) => match transaction.commit().await {
                Ok(()) => {
                    report(delivery, outcome);
                    return Ok(());
                }
                Err(error) => Failure::from(error),
            },
            Err(Failure::Handler(error)) => {
                // Where this fails, it was the store that failed the handler: no attempt is spent.
                transaction.rollback().await?;
                Failure::Handler(error)
            }
            // A store that does not answer is not asked to undo anything: that ends with the connection.
            Err(failure) => failure,
        };
        let error = failure.of_handler()?;
        let transaction = self.store.begin().await?;
        self.handling
            .failed(&transaction, &delivery.message, &error, None)
            .await?;
        transaction.commit().await
    }

    fn settle(&self, batch: &[Delivery]) {
        faults::point("done");
        // Nobody listens any more once the connection is given up; the deliveries then come again, as duplicates.
        let _ = self
            .settled
            .send(batch.iter().map(|delivery| delivery.tag).collect());
    }
}

fn report(delivery: &Delivery, outcome: Outcome) {
    let message = &delivery.message;
    match outcome {
        Outcome::Handled => tracing::debug!(
            event.id = message.message_id,
            event.r#type = message.event_type,
            routing_key = message.routing_key,
            "handled"
        ),
        Outcome::Duplicate => tracing::debug!(
            event.id = message.message_id,
            event.r#type = message.event_type,
            redelivered = delivery.redelivered,
            "seen before"
        ),
        // Said where the reason is known.
        Outcome::Held(_) => (),
    }
}
