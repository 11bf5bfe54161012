//! What a relay does while there is nothing to publish, or the broker takes nothing: it sleeps, and notices what ends that.

use sea_orm::DbErr;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Progress, Relay, wake};
use crate::transport::{Publisher, TransportError};

impl Relay {
    /// Sleeps until there may be something to publish. Behind a relay that holds the lease that is when the lease ends; what
    /// is committed here until then is that relay's to publish, so it is told.
    pub(super) async fn wait_for_work(
        &self,
        progress: &mut Progress,
        stop: &CancellationToken,
    ) -> Result<(), DbErr> {
        let standby = progress.lease.held_by_another_for();
        if standby.is_some() {
            wake::notify(&self.store).await?;
        }
        let until = Instant::now() + standby.unwrap_or(self.config.poll).min(self.config.poll);
        loop {
            tokio::select! {
                () = self.committed.notified() => match standby {
                    Some(_) => wake::notify(&self.store).await?,
                    None => return Ok(()),
                },
                () = self.told.notified() => if standby.is_none() { return Ok(()) },
                () = progress.timers.due() => return progress.timers.release(&self.store).await,
                () = progress.timers.set() => return Ok(()),
                () = tokio::time::sleep_until(until) => return Ok(()),
                () = stop.cancelled() => return Ok(()),
            }
        }
    }
}

/// Waits until the broker takes messages; `false` where it is time to stop instead.
pub(super) async fn takes_messages(
    publisher: &dyn Publisher,
    stop: &CancellationToken,
) -> Result<bool, TransportError> {
    tokio::select! {
        biased;
        ready = publisher.ready() => ready.map(|()| true),
        () = stop.cancelled() => Ok(false),
    }
}
