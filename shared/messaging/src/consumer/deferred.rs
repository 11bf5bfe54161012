//! Takes up held events when their time has come: retries, and events whose predecessor is done.
//!
//! Asleep until the earliest is due; woken when something is held or released. Each event has a transaction of its own, and
//! replicas pass over what another one is at.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::handling::{Failure, Handling};
use crate::inbox;
use crate::reconnect::Reconnect;
use crate::store::Store;

pub(super) struct Deferred {
    store: Store,
    handling: Arc<Handling>,
    poll: Duration,
    woken: Arc<Notify>,
}

impl Deferred {
    pub(super) fn new(store: Store, handling: Arc<Handling>, poll: Duration) -> Self {
        let woken = store.signal(inbox::SIGNAL);
        Self {
            store,
            handling,
            poll,
            woken,
        }
    }

    pub(super) async fn run(&self, stop: &CancellationToken) {
        let mut reconnect = Reconnect::default();
        while !stop.is_cancelled() {
            match self.take_up_next().await {
                Ok(true) => reconnect.reset(),
                Ok(false) => self.wait(stop).await,
                Err(error) => {
                    tracing::warn!(%error, "deferred events wait: the database is away");
                    reconnect.pause(stop).await;
                }
            }
        }
    }

    /// Takes up one event, and tells whether there was one.
    async fn take_up_next(&self) -> Result<bool, DbErr> {
        let transaction = self.store.begin().await?;
        let Some(due) = inbox::next_due(&transaction, self.handling.consumer()).await? else {
            return Ok(false);
        };
        match self.handling.due(&transaction, &due).await {
            Ok(outcome) => {
                transaction.commit().await?;
                tracing::debug!(
                    event.id = due.event_id,
                    ?outcome,
                    attempts = due.attempts,
                    "taken up again"
                );
            }
            Err(Failure::Store(error)) => return Err(error),
            Err(Failure::Handler(error)) => {
                transaction.rollback().await?;
                let transaction = self.store.begin().await?;
                self.handling
                    .failed(&transaction, &due.message, &error, Some(&due))
                    .await?;
                transaction.commit().await?;
            }
        }
        Ok(true)
    }

    async fn wait(&self, stop: &CancellationToken) {
        let due_in = inbox::next_due_in_ms(self.store.connection(), self.handling.consumer()).await;
        let due_in = due_in
            .ok()
            .flatten()
            .and_then(|ms| u64::try_from(ms).ok())
            .map(Duration::from_millis);
        // One millisecond more, because what is due in 0.4 ms is not due yet.
        let sleep = due_in.map_or(self.poll, |wait| {
            (wait + Duration::from_millis(1)).min(self.poll)
        });
        tokio::select! {
            () = self.woken.notified() => (),
            () = tokio::time::sleep(sleep) => (),
            () = stop.cancelled() => (),
        }
    }
}
