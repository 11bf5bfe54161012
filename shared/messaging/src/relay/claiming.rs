//! Reads pending rows into the window.

use std::time::Instant;

use sea_orm::DbErr;

use super::lease::{Holder, Lease};
use super::state::Relay;
use super::window::Window;
use crate::outbox::{self, Look, Wanted};
use crate::retry::millis;
use crate::timer::Timers;

/// After this many queries that find only waiting events, confirms and the lease get their turn.
const LOOKS: usize = 5;

impl Relay {
    /// Returns whether there may be more.
    pub(super) async fn claim(
        &self,
        window: &mut Window,
        timers: &mut Timers,
        lease: &mut Lease,
    ) -> Result<bool, DbErr> {
        let mut wanted = window.wanted(Instant::now());
        let mut seen = self.look(window, &wanted).await?;
        for _ in 0..LOOKS {
            if seen.behind.is_empty() {
                break;
            }
            match lease.take(&self.store).await? {
                Holder::Still => {
                    self.set_aside(&seen.behind).await?;
                    if !seen.pending.is_empty() {
                        break;
                    }
                }
                // Another relay may have released them, and published the window's events.
                Holder::Anew => window.forget_waiting(),
                Holder::Another => break,
            }
            // They filled the limit: publishable rows may follow.
            wanted = window.wanted(Instant::now());
            seen = self.look(window, &wanted).await?;
        }
        timers.are_next_in(seen.timer_in_ms);
        let full = seen.has_gaps || seen.pending.len() + seen.behind.len() >= wanted.limit;
        window.add(seen.pending, wanted.but);
        Ok(full)
    }

    async fn look(&self, window: &mut Window, wanted: &Wanted) -> Result<Look, DbErr> {
        let begun = Instant::now();
        let seen = outbox::look(self.store.relay(), &self.config.service, wanted).await?;
        window.looked(begun, begun.elapsed(), wanted, &seen);
        Ok(seen)
    }

    async fn set_aside(&self, behind: &[i64]) -> Result<(), DbErr> {
        let _turn = self.store.turn_to_write().await?;
        let (db, behind) = (self.store.relay(), behind.iter().copied());
        outbox::set_aside_behind(db, behind, millis(outbox::BEHIND)).await
    }
}
