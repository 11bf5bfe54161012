//! The lease: of a database's relays, the holder publishes.
//!
//! A row with an end time instead of a session's lock: a holder that is gone, or has a hanging connection, loses it
//! without any action. The database's clock decides. A holder checks its lease right before each publication, and reads
//! the outbox again after another relay may have had it. So a slow holder repeats at most one publication.

use std::time::{Duration, Instant};

use sea_orm::DbErr;
use uuid::Uuid;

use crate::retry::millis;
use crate::store::Store;
use store::sql;

/// It limits, with the standby's poll each 5 s, the wait of pending events after a relay died.
const DURATION: Duration = Duration::from_secs(3);
/// A later end comes from a clock that was ahead, and the holder has lost its lease. A holder that still runs publishes
/// beside its successor for a moment. Twice `DURATION`, so that a small clock step ends no lease.
const LONGEST: Duration = Duration::from_secs(6);
/// A younger lease is not renewed.
const FRESH: Duration = Duration::from_secs(1);

/// A lease that ends just now is retried in a moment, not only at the next poll.
const SHORTEST_WAIT_MS: u64 = 10;

/// A publication needs this much of the lease.
const MARGIN: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Still,
    /// Another relay may have held the lease meanwhile: rows that were read before may already be published.
    Anew,
    Another,
}

pub(super) struct Lease {
    holder: String,
    renewed: Option<Instant>,
    another_until: Option<Instant>,
}

impl Lease {
    pub(super) fn new() -> Self {
        Self {
            holder: Uuid::now_v7().to_string(),
            renewed: None,
            another_until: None,
        }
    }

    pub(super) async fn take(&mut self, store: &Store) -> Result<Holder, DbErr> {
        if self
            .renewed
            .is_some_and(|renewed| renewed.elapsed() < FRESH)
        {
            return Ok(Holder::Still);
        }
        (self.renewed, self.another_until) = (None, None);
        if let Some(renewed) = self.renew_row(store).await? {
            self.renewed = Some(renewed);
            return Ok(Holder::Still);
        }
        if let Some(taken) = self.take_row(store).await? {
            self.renewed = Some(taken);
            return Ok(Holder::Anew);
        }
        let now = Instant::now();
        let left = sql::query_one(
            store.relay(),
            "SELECT {ms expires_at} - {now} AS left_ms FROM angarium_relay_lease",
            [],
        )
        .await?;
        let left = left.map_or(Ok(0), |row| row.try_get::<i64>("", "left_ms"))?;
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0).max(SHORTEST_WAIT_MS));
        self.another_until = Some(now + left.min(DURATION));
        Ok(Holder::Another)
    }

    /// By the local clock, right before the publication, because this process may have been stopped for long.
    pub(super) fn lasts(&self) -> bool {
        self.renewed
            .is_some_and(|renewed| renewed.elapsed() < DURATION.saturating_sub(MARGIN))
    }

    /// `None`: try again.
    pub(super) fn held_by_another_for(&self) -> Option<Duration> {
        self.another_until?
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
    }

    /// Even if the lease has ended: while the row names us, no other relay has held it. Returns the time right before
    /// the statement, after the wait for the writer's turn: the lease lasts at least from then.
    async fn renew_row(&self, store: &Store) -> Result<Option<Instant>, DbErr> {
        let _turn = store.turn_to_write().await?;
        let asked = Instant::now();
        let renewed = sql::execute(
            store.relay(),
            "UPDATE angarium_relay_lease SET expires_at = {time + $2} WHERE holder = $1",
            [self.holder.as_str().into(), millis(DURATION).into()],
        )
        .await?;
        Ok((renewed == 1).then_some(asked))
    }

    async fn take_row(&self, store: &Store) -> Result<Option<Instant>, DbErr> {
        let _turn = store.turn_to_write().await?;
        let asked = Instant::now();
        let taken = sql::execute(
            store.relay(),
            "INSERT INTO angarium_relay_lease (name, holder, expires_at) VALUES ('relay', $1, {time + $2})
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
             WHERE angarium_relay_lease.holder = excluded.holder
                OR angarium_relay_lease.expires_at <= {time} OR angarium_relay_lease.expires_at > {time + $3}",
            [
                self.holder.as_str().into(),
                millis(DURATION).into(),
                millis(LONGEST).into(),
            ],
        )
        .await?;
        Ok((taken == 1).then_some(asked))
    }

    /// A standby then need not wait for its end. The row stays, because moves to the history lock it.
    pub(super) async fn release(&mut self, store: &Store) -> Result<(), DbErr> {
        self.renewed = None;
        let _turn = store.turn_to_write().await?;
        sql::execute(
            store.relay(),
            "UPDATE angarium_relay_lease SET holder = '', expires_at = {time} WHERE holder = $1",
            [self.holder.as_str().into()],
        )
        .await?;
        Ok(())
    }
}
