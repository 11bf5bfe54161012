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

/// Before the next look where the earliest is overdue: short, and still no spinning while another replica is at it.
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
        let failure = match self.handling.due(&transaction, &due).await {
            Ok(outcome) => match transaction.commit().await {
                Ok(()) => {
                    tracing::debug!(
                        event.id = due.event_id,
                        ?outcome,
                        attempts = due.attempts,
                        "taken up again"
                    );
                    return Ok(true);
                }
                Err(error) => Failure::from(error),
            },
            Err(failure) => {
                transaction.rollback().await?;
                failure
            }
        };
        let error = failure.of_handler()?;
        let transaction = self.store.begin().await?;
        self.handling
            .failed(&transaction, &due.message, &error, Some(&due))
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn wait(&self, stop: &CancellationToken) {
        let due_in = inbox::next_due_in_ms(self.store.connection(), self.handling.consumer()).await;
        tokio::select! {
            () = self.woken.notified() => (),
            () = tokio::time::sleep(pause(due_in.ok().flatten(), self.poll)) => (),
            () = stop.cancelled() => (),
        }
    }
}

/// How long to sleep where the earliest is due in `due_in_ms`.
fn pause(due_in_ms: Option<i64>, poll: Duration) -> Duration {
    let Some(due_in_ms) = due_in_ms else {
        return poll;
    };
    let pause = match u64::try_from(due_in_ms) {
        // One millisecond more, because what is due in 0.4 ms is not due yet.
        Ok(wait) => Duration::from_millis(wait).saturating_add(Duration::from_millis(1)),
        // It has become due since it was looked for, or another replica is at it.
        Err(_) => OVERDUE_PAUSE,
    };
    pause.min(poll)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_due_between_two_looks_does_not_wait_for_the_poll() {
        let poll = Duration::from_secs(30);
        assert_eq!(pause(Some(-3), poll), OVERDUE_PAUSE);
        assert_eq!(pause(Some(0), poll), Duration::from_millis(1));
        assert_eq!(pause(Some(20), poll), Duration::from_millis(21));
        assert_eq!(pause(Some(i64::MAX), poll), poll);
        assert_eq!(pause(None, poll), poll);
    }
}
