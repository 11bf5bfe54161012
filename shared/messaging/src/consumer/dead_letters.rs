//! Moves the broker's dead letters into the inbox, so that all dead events are in one place.
//!
//! The broker dead-letters a message after too many unacknowledged deliveries: it kills each process that handles it.
//! It becomes *dead* here; in order, later events of its aggregate wait.

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Consumer;
use super::observe::Processing;
use super::step::Item;
use crate::reconnect::Reconnect;
use crate::transport::{Ack, Delivery, Receiver, TransportError, dead_letter_queue};

impl Consumer {
    pub(super) async fn take_in_dead_letters(&self, stop: &CancellationToken) {
        let queue = dead_letter_queue(self.pipeline.consumer());
        let mut reconnect = Reconnect::default();
        while !stop.is_cancelled() {
            let connecting = self.transport.receiver(&queue, self.config.prefetch);
            let Some(connected) = stop.run_until_cancelled(connecting).await else {
                return;
            };
            let ended = match connected {
                Ok(mut receiver) => {
                    reconnect.connected();
                    let _up = self.dead_letters.up();
                    self.take_in(&mut *receiver, stop).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                tracing::warn!(queue, %error, "the receiver of dead letters starts over; nothing is lost");
                reconnect.pause(stop).await;
            }
        }
    }

    async fn take_in(
        &self,
        receiver: &mut dyn Receiver,
        stop: &CancellationToken,
    ) -> Result<(), TransportError> {
        // Otherwise deliveries from before the stop would come again.
        while let Some(received) = stop.run_until_cancelled(receiver.receive()).await {
            let delivery = received?;
            let mut reconnect = Reconnect::to(self.store.waits());
            while let Err(error) = self.keep(&delivery).await {
                if stop.is_cancelled() {
                    return Ok(());
                }
                tracing::warn!(%error, "the receiver of dead letters waits for the database");
                reconnect.pause(stop).await;
            }
            receiver.acknowledge(Ack::One(delivery.tag)).await?;
        }
        Ok(())
    }

    async fn keep(&self, delivery: &Delivery) -> Result<(), DbErr> {
        let message = &delivery.message;
        let queue = dead_letter_queue(self.pipeline.consumer());
        let processing = Processing::begin(&self.pipeline, &queue, Item::arrived(message));
        let keeping = async {
            let transaction = self.store.begin().await?;
            let outcome = self.pipeline.dead_lettered(&transaction, message).await?;
            transaction.commit().await.map(|()| outcome)
        };
        let outcome = keeping.instrument(processing.span()).await?;
        processing.end(&outcome);
        Ok(())
    }
}
