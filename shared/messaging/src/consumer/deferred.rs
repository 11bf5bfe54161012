//! Takes up held events when their time has come: retries, and events whose predecessor is done.
//!
//! Asleep until the earliest is due; woken when something is held or released. Each event has a transaction of its own, and
//! replicas pass over what another one is at.

use std::sync::Arc;

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::attempt::attempt;
use super::handling::Handling;
use super::processing::Processing;
use crate::inbox;
use crate::store::Store;

pub(super) struct Deferred {
    store: Store,
    handling: Arc<Handling>,
}

impl Deferred {
    pub(super) fn new(store: Store, handling: Arc<Handling>) -> Self {
        Self { store, handling }
    }

    pub(super) async fn run(&self, stop: &CancellationToken) {
        let due = self
            .store
            .due(inbox::SIGNAL, inbox::due_in_ms(self.handling.consumer()));
        let away = |error: DbErr| {
            tracing::warn!(%error, "deferred events wait: the database is away");
        };
        due.work(stop, || self.take_up_next(), away).await;
    }

    /// Takes up one event, and tells whether there was one.
    async fn take_up_next(&self) -> Result<bool, DbErr> {
        let transaction = self.store.begin().await?;
        let Some(due) = inbox::next_due(&transaction, self.handling.consumer()).await? else {
            return Ok(false);
        };
        let (handling, message) = (&self.handling, &due.message);
        let (queue, number) = (handling.consumer(), due.attempts + 1);
        let processing = Processing::begin(handling, queue, message, &due.event_id, number);
        let outcome = attempt(handling, &self.store, transaction, message, Some(&due))
            .instrument(processing.span())
            .await?;
        processing.end(&outcome);
        Ok(true)
    }
}
