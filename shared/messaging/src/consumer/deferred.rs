//! Takes up held events when their time has come: retries, and events whose predecessor is done.
//!
//! Asleep until the earliest is due; woken when something is held or released. Each event has a transaction of its own, and
//! replicas pass over what another one is at.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::attempt::attempt;
use super::handling::Handling;
use super::processing::Processing;
use crate::inbox;
use crate::reconnect::Reconnect;
use crate::store::Store;

/// Before the next look where another replica is at what is due: short, and still no spinning.
const OVERDUE_PAUSE: Duration = Duration::from_millis(20);

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
            match self.take_up_what_is_due(stop).await {
                Ok(pause) => {
                    reconnect.reset();
                    self.wait(pause, stop).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "deferred events wait: the database is away");
                    reconnect.pause(stop).await;
                }
            }
        }
    }

    /// Takes up all that is due, and tells how long nothing will be. Where nothing is, that costs one query.
    async fn take_up_what_is_due(&self, stop: &CancellationToken) -> Result<Duration, DbErr> {
        loop {
            let consumer = self.handling.consumer();
            match inbox::next_due_in_ms(self.store.connection(), consumer).await? {
                None => return Ok(self.poll),
                // One millisecond more, because what is due in 0.4 ms is not due yet.
                Some(due_in @ 1..) => {
                    let wait = Duration::from_millis(due_in.unsigned_abs().saturating_add(1));
                    return Ok(wait.min(self.poll));
                }
                Some(_) => (),
            }
            if !self.take_up_next().await? || stop.is_cancelled() {
                return Ok(OVERDUE_PAUSE);
            }
            while !stop.is_cancelled() && self.take_up_next().await? {}
        }
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

    async fn wait(&self, pause: Duration, stop: &CancellationToken) {
        tokio::select! {
            () = self.woken.notified() => (),
            () = tokio::time::sleep(pause) => (),
            () = stop.cancelled() => (),
        }
    }
}
