//! Reading what is pending into the window: what the relay may publish next is decided there, from what was found here.

use sea_orm::DbErr;

use super::Relay;
use super::window::Window;
use crate::timer::Timers;
use crate::{faults, outbox};

impl Relay {
    /// Reads as much as there is room for, and tells whether there may be more.
    pub(super) async fn claim(
        &self,
        window: &mut Window,
        timers: &mut Timers,
    ) -> Result<bool, DbErr> {
        let limit = window.claim_limit();
        let (db, service) = (self.store.connection(), &self.config.service);
        let enough = window.has_enough_of();
        let seen = outbox::look(db, service, limit as u64, &enough).await?;
        timers.are_next_in(seen.timer_in_ms);
        let mut rows = seen.pending;
        let full = rows.len() == limit;
        rows.retain(|row| faults::is_beyond_cursor(row.sequence));
        if faults::broken("mark-before-confirm") {
            self.mark(&mut rows.iter().map(|row| row.sequence).collect())
                .await?;
        }
        window.add(rows, enough);
        Ok(full)
    }
}
