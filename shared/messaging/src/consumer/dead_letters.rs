//! Takes in what the broker itself has given up on, so that everything dead is in one place, the inbox.
//!
//! The broker dead-letters a message that it has delivered too often without an acknowledgement: one that ends each process
//! which handles it. It is *dead* here like one that a handler has rejected; in order, later events of its aggregate wait.

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Consumer;
use super::processing::Processing;
use crate::reconnect::Reconnect;
use crate::transport::{Ack, Delivery, Receiver, TransportError, dead_letter_queue};

impl Consumer {
    pub(super) async fn take_in_dead_letters(&self, stop: &CancellationToken) {
        let queue = dead_letter_queue(self.handling.consumer());
        let mut reconnect = Reconnect::default();
        while !stop.is_cancelled() {
            let receiving = async {
                let mut receiver = self
                    .transport
                    .receiver(&queue, self.config.prefetch)
                    .await?;
                reconnect.connected();
                let _up = self.dead_letters.up();
                self.take_in(&mut *receiver, stop).await
            };
            if let Some(Err(error)) = stop.run_until_cancelled(receiving).await {
                tracing::warn!(queue, %error, "taking in dead letters starts over; nothing is lost");
                reconnect.pause(stop).await;
            }
        }
    }

    async fn take_in(
        &self,
        receiver: &mut dyn Receiver,
        stop: &CancellationToken,
    ) -> Result<(), TransportError> {
        loop {
            let delivery = receiver.receive().await?;
            let mut reconnect = Reconnect::default();
            while let Err(error) = self.keep(&delivery).await {
                tracing::warn!(%error, "taking in dead letters pauses for the database");
                reconnect.pause(stop).await;
            }
            receiver.acknowledge(Ack::One(delivery.tag)).await?;
        }
    }

    async fn keep(&self, delivery: &Delivery) -> Result<(), DbErr> {
        let message = &delivery.message;
        let queue = dead_letter_queue(self.handling.consumer());
        let event_id = event::event_id(message).to_string();
        let processing = Processing::begin(&self.handling, &queue, message, &event_id, 1);
        let keeping = async {
            let transaction = self.store.begin().await?;
            let outcome = self.handling.dead_lettered(&transaction, message).await?;
            transaction.commit().await.map(|()| outcome)
        };
        let outcome = keeping.instrument(processing.span()).await?;
        processing.end(&outcome);
        Ok(())
    }
}
