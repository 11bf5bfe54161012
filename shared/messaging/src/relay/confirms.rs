//! Processes the broker's answers.
//!
//! Guarantee: only a confirm without a return moves a row to the history. Any other answer, or none, leaves it pending.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use sea_orm::DbErr;

use super::connecting::RelayError;
use super::state::{Confirmed, Relay};
use super::window::{Window, aggregate};
use crate::outbox::{self, LONGEST_DELAY, NotTaken, Pending};
use crate::retry::{Backoff, millis};
use crate::transport::{Confirmation, TransportError};

const BACKOFF: Backoff = Backoff::doubling(Duration::from_secs(1), LONGEST_DELAY);

pub(super) type Outcome = (i64, Result<Confirmation, TransportError>);

impl Relay {
    pub(super) async fn settle(
        &self,
        outcomes: Vec<Outcome>,
        window: &mut Window,
        confirmed: &mut Confirmed,
    ) -> Result<(), RelayError> {
        let mut not_taken: BTreeMap<(NotTaken, String), Vec<Pending>> = BTreeMap::new();
        let mut broken = None;
        for (sequence, outcome) in outcomes {
            match outcome {
                Ok(Confirmation::Routed) => confirmed.all.push(sequence),
                Ok(Confirmation::Unrouted) if window.may_be_unrouted(sequence) => {
                    confirmed.all.push(sequence);
                }
                Ok(Confirmation::Unrouted) => {
                    let reason = format!("no queue is bound for {}", window.target(sequence));
                    not_taken
                        .entry((NotTaken::Unroutable, reason))
                        .or_default()
                        .extend(window.refused(sequence));
                }
                Ok(Confirmation::Refused(reason)) => {
                    not_taken
                        .entry((NotTaken::Refused, reason))
                        .or_default()
                        .extend(window.refused(sequence));
                }
                Err(error) => broken = Some(error),
            }
        }
        for sequence in &confirmed.all {
            let row = window.confirmed(*sequence);
            let at_last = row.filter(|row| row.attempts > 0 || row.was_aside);
            confirmed.at_last.extend(at_last.as_ref().map(aggregate));
        }
        for ((why, reason), rows) in not_taken {
            self.postpone(&rows, why, &reason).await?;
        }
        broken.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Returns whether the move to the history released other rows.
    pub(super) async fn mark(&self, confirmed: &mut Confirmed) -> Result<bool, DbErr> {
        if !confirmed.all.is_empty() {
            let refused = outbox::move_published(&self.store, confirmed.all.clone()).await?;
            confirmed.all.clear();
            if !refused.is_empty() {
                tracing::error!(
                    event.ids = refused.join(" "),
                    "published events are not in the history: it has other events with the same version of their aggregate. \
                     Check whether the trigger angarium_outbox_used_version is there"
                );
            }
        }
        if confirmed.at_last.is_empty() {
            return Ok(false);
        }
        // Remembered until done: otherwise these rows are read again only a minute later.
        loop {
            let _turn = self.store.turn_to_write().await?;
            let at_last = confirmed.at_last.iter().cloned();
            if outbox::release_behind(self.store.relay(), at_last).await? < outbox::RELEASED {
                break;
            }
        }
        confirmed.at_last.clear();
        Ok(true)
    }

    /// In one statement: while a queue is not bound, there may be many.
    async fn postpone(&self, rows: &[Pending], why: NotTaken, reason: &str) -> Result<(), DbErr> {
        let Some(first) = rows.iter().max_by_key(|row| row.attempts) else {
            return Ok(());
        };
        let attempt = u32::try_from(first.attempts).unwrap_or(0) + 1;
        let delay = BACKOFF.delay(attempt, fastrand::f64());
        let now_ms = first.now_ms();
        let since_ms = match why {
            NotTaken::Unroutable => first.unroutable_since_ms.unwrap_or(now_ms),
            NotTaken::Refused => now_ms,
        };
        tracing::warn!(
            events = rows.len(), event.id = %first.envelope.id, event.r#type = first.envelope.event_type,
            exchange = first.exchange, routing_key = first.routing_key, since = %rfc3339(since_ms), attempt, reason,
            "the broker did not take events; they stay in the outbox"
        );
        let _turn = self.store.turn_to_write().await?;
        let sequences = rows.iter().map(|row| row.sequence);
        let delay_ms = millis(delay);
        outbox::postpone(self.store.relay(), sequences, why, reason, delay_ms).await
    }
}

fn rfc3339(ms: i64) -> humantime::Rfc3339Timestamp {
    let since_epoch = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since_epoch)
}

/// All available answers, at least one, so that rows are marked together.
pub(super) async fn next_outcomes(
    confirms: &mut FuturesUnordered<BoxFuture<'static, Outcome>>,
) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = confirms.next().await.into_iter().collect();
    while let Some(Some(outcome)) = confirms.next().now_or_never() {
        outcomes.push(outcome);
    }
    outcomes
}
