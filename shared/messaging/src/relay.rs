//! Publishes the events of the outbox, and marks them after the broker's confirm.
//!
//! Guarantee: only a confirm without a return marks a row, so a crash at any point causes a repetition, never a loss.
//! Events of an aggregate are published in order, each after the confirm of the previous one. Of all relays of a
//! database one publishes; the others take over within 5 s after its death.

use std::time::Duration;

use futures::FutureExt as _;
use futures::stream::FuturesUnordered;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::outbox;
use crate::timer::Timers;
use crate::transport::Publisher;

mod claiming;
mod config;
mod confirms;
mod connecting;
mod hint;
mod lease;
mod publishing;
mod standing;
mod state;
mod waiting;
mod wake;
mod window;

pub use config::RelayConfig;
use confirms::next_outcomes;
use connecting::RelayError;
use lease::{Holder, Lease};
use standing::At;
pub use state::Relay;
use state::{Confirmed, Progress};
use waiting::{Readiness, Waited, takes_messages};
use window::Window;

const RENEWAL: Duration = Duration::from_secs(1);
/// Another replica, or the next start, publishes the rest.
const LAST_PASS: Duration = Duration::from_secs(4);
/// While no event is known to be pending.
const LAST_LOOK: Duration = Duration::from_secs(1);
/// Short, because the lease ends by itself.
const RELEASE: Duration = Duration::from_millis(50);

impl Relay {
    /// Runs until `stop`, then continues for a moment until nothing is pending that the broker takes. It does not fail:
    /// it reconnects.
    pub async fn run(self, stop: CancellationToken) {
        let mut progress = Progress {
            lease: Lease::new(),
            wakeup: self.store.wakeup(outbox::SIGNAL, outbox::due_in_ms()),
            timers: Timers::default(),
            confirmed: Confirmed::default(),
        };
        let overdue = async {
            stop.cancelled().await;
            let patience = match self.standing.now() {
                At::Work => LAST_PASS,
                At::Rest => LAST_LOOK,
                At::Loss => Duration::ZERO,
            };
            tokio::time::sleep(patience).await;
        };
        let publish = async {
            tokio::select! {
                () = Box::pin(self.publish(&stop, &mut progress)) => (),
                () = overdue => tracing::info!("events are left in the outbox; the next relay publishes them"),
            }
        };
        let bounds = outbox::bound().keep(self.store.clone(), stop.clone());
        tokio::join!(
            wake::listen(&self.store, &self.others, &stop),
            store::end_soon(&stop, bounds),
            Box::pin(publish)
        );
        if self.standing.now() == At::Loss {
            return;
        }
        let releasing = progress.lease.release(&self.store);
        match tokio::time::timeout(RELEASE, releasing).await {
            Ok(Ok(())) => (),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the lease was not given back; it ends by itself");
            }
            Err(_) => tracing::debug!("the lease was not given back in time; it ends by itself"),
        }
    }

    /// `false` if the window must be filled again, because this relay has just taken the lease. If another relay has
    /// it, the window becomes empty.
    ///
    /// It checks only while the window contains events, so that an idle relay sends no queries; and repeatedly, because
    /// confirms may outlast a lease.
    async fn may_publish(&self, window: &mut Window, lease: &mut Lease) -> Result<bool, DbErr> {
        if window.is_empty() {
            return Ok(true);
        }
        let holder = lease.take(&self.store).await?;
        let fresh = holder != Holder::Anew || !window.has_waiting();
        if holder != Holder::Still {
            window.forget_waiting();
        }
        Ok(fresh)
    }

    async fn publish_over(
        &self,
        publisher: &dyn Publisher,
        stop: &CancellationToken,
        progress: &mut Progress,
    ) -> Result<(), RelayError> {
        let mut window = Window::new(self.config.window);
        let mut confirms = FuturesUnordered::new();
        let (mut look, mut last_look) = (true, false);
        loop {
            let mut is_released = self.mark(&mut progress.confirmed).await?;
            if progress.timers.due_in() == Some(Duration::ZERO) {
                progress.timers.release(&self.store).await?;
                is_released = true;
            }
            if is_released {
                window.look_from_the_beginning();
                look = true;
            }
            match takes_messages(publisher, stop, &mut confirms).await? {
                Readiness::Ready => (),
                Readiness::Answered(outcomes) => {
                    self.settle(outcomes, &mut window, &mut progress.confirmed)
                        .await?;
                    continue;
                }
                Readiness::Stopped => return Ok(()),
            }
            // After the wait, which may outlast the lease.
            if (look || window.left_some()) && window.wants_more() {
                look = self
                    .claim(&mut window, &mut progress.timers, &mut progress.lease)
                    .await?;
                self.standing.holds(!window.is_empty());
            }
            if !self.may_publish(&mut window, &mut progress.lease).await? {
                look = true;
                continue;
            }
            let mut rows = window.publishable().into_iter();
            while progress.lease.lasts()
                && let Some(row) = rows.next()
            {
                let confirm = self.hand_over(publisher, &row).await?;
                confirms.push(confirm);
            }
            if !rows.as_slice().is_empty() {
                // Another relay may have published these after the lease.
                window.forget(rows.as_slice());
                look = true;
                continue;
            }
            if confirms.is_empty() {
                if last_look {
                    return Ok(());
                }
                // Commits during the last confirms have not been read yet.
                last_look = stop.is_cancelled();
                if !last_look {
                    self.standing.holds(false);
                    tokio::select! {
                        worked = self.wait_for_work(progress, window.complete_look_at(), stop) => {
                            if worked? == Waited::Stopped && self.committed.notified().now_or_never().is_none() {
                                return Ok(());
                            }
                        }
                        // The next event then has no failed attempt.
                        lost = publisher.lost() => return Err(lost.into()),
                    }
                }
                look = true;
                continue;
            }
            tokio::select! {
                outcomes = next_outcomes(&mut confirms) => {
                    self.settle(outcomes, &mut window, &mut progress.confirmed).await?;
                }
                () = self.committed.notified() => look = true,
                () = self.others.committed.notified() => look = true,
                // Commits of other processes must not wait for a slow confirm.
                () = tokio::time::sleep(RENEWAL) => look = true,
            }
        }
    }
}
