//! The waits of a relay: for something to publish, and for a broker that accepts messages.

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use sea_orm::DbErr;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::confirms::{Outcome, next_outcomes};
use super::state::{Progress, Relay};
use super::wake;
use crate::transport::{Publisher, TransportError};
use crate::wakeup::Woken;

impl Relay {
    /// Without the lease, until the other relay's lease ends; it is notified of commits in this process.
    pub(super) async fn wait_for_work(
        &self,
        progress: &mut Progress,
        complete_look_at: Option<std::time::Instant>,
        stop: &CancellationToken,
    ) -> Result<Waited, DbErr> {
        let standby = progress.lease.held_by_another_for();
        if standby.is_some() {
            wake::notify(&self.store).await?;
        }
        let ends = standby.map(|left| Instant::now() + left);
        let ends = ends
            .into_iter()
            .chain(complete_look_at.map(Instant::from_std))
            .min();
        loop {
            let left = ends.map(|ends| ends.saturating_duration_since(Instant::now()));
            let known = left.into_iter().chain(progress.timers.due_in()).min();
            tokio::select! {
                woken = progress.wakeup.sleep(known) => match (woken, standby) {
                    (Woken::Committed, Some(_)) => wake::notify(&self.store).await?,
                    (Woken::Found, Some(_)) => {}
                    (Woken::Found, None) => {
                        self.others.doubted.notify_one();
                        return Ok(Waited::Woken);
                    }
                    _ => return Ok(Waited::Woken),
                },
                () = self.others.committed.notified() => if standby.is_none() { return Ok(Waited::Woken) },
                () = stop.cancelled() => return Ok(Waited::Stopped),
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    Woken,
    Stopped,
}

pub(super) enum Readiness {
    Ready,
    Answered(Vec<Outcome>),
    Stopped,
}

/// Answers meanwhile are processed immediately.
pub(super) async fn takes_messages(
    publisher: &dyn Publisher,
    stop: &CancellationToken,
    confirms: &mut FuturesUnordered<BoxFuture<'static, Outcome>>,
) -> Result<Readiness, TransportError> {
    tokio::select! {
        biased;
        ready = publisher.ready() => ready.map(|()| Readiness::Ready),
        () = stop.cancelled() => Ok(Readiness::Stopped),
        outcomes = next_outcomes(confirms), if !confirms.is_empty() => Ok(Readiness::Answered(outcomes)),
    }
}
