//! What is made of the broker's answers: rows are marked, or stay pending with the reason.
//!
//! Guarantee: only a confirm without a return marks a row. Whatever else the broker answers, or does not, leaves it pending.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use sea_orm::DbErr;

use super::Relay;
use super::connecting::RelayError;
use super::window::Window;
use crate::faults;
use crate::outbox::{self, LONGEST_DELAY, Pending};
use crate::retry::{delay, millis};
use crate::transport::{Confirmation, TransportError};

/// Between two attempts at an event that the broker does not take.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// What the broker has answered for the row of this sequence.
pub(super) type Outcome = (i64, Result<Confirmation, TransportError>);

impl Relay {
    pub(super) async fn settle(
        &self,
        outcomes: Vec<Outcome>,
        window: &mut Window,
        confirmed: &mut Vec<i64>,
    ) -> Result<(), RelayError> {
        let mut refused: BTreeMap<String, Vec<Pending>> = BTreeMap::new();
        let mut broken = None;
        for (sequence, outcome) in outcomes {
            match outcome {
                Ok(Confirmation::Routed) => confirmed.push(sequence),
                Ok(Confirmation::Unrouted) if window.may_be_unrouted(sequence) => {
                    confirmed.push(sequence);
                }
                Ok(Confirmation::Unrouted) if faults::broken("ignore-return") => {
                    confirmed.push(sequence);
                }
                Ok(Confirmation::Unrouted) => {
                    let reason = format!("no queue is bound for {}", window.target(sequence));
                    refused
                        .entry(reason)
                        .or_default()
                        .extend(window.refused(sequence));
                }
                Ok(Confirmation::Refused(reason)) => {
                    refused
                        .entry(reason)
                        .or_default()
                        .extend(window.refused(sequence));
                }
                Err(_) if faults::broken("swallow-relay-error") => confirmed.push(sequence),
                Err(error) => broken = Some(error),
            }
        }
        for sequence in confirmed.iter() {
            window.confirmed(*sequence);
        }
        for (reason, rows) in refused {
            self.postpone(&rows, &reason).await?;
        }
        broken.map_or(Ok(()), |error| Err(error.into()))
    }

    pub(super) async fn mark(&self, confirmed: &mut Vec<i64>) -> Result<(), DbErr> {
        if confirmed.is_empty() {
            return Ok(());
        }
        faults::point("confirmed");
        let _turn = self.store.turn_to_write().await?;
        outbox::mark_published(self.store.connection(), confirmed.iter().copied()).await?;
        faults::point("marked");
        confirmed.clear();
        Ok(())
    }

    /// Leaves rows pending that the broker did not take, all in one statement: while a queue is not bound there may be many.
    async fn postpone(&self, rows: &[Pending], reason: &str) -> Result<(), DbErr> {
        let Some(first) = rows.iter().max_by_key(|row| row.attempts) else {
            return Ok(());
        };
        let attempt = u32::try_from(first.attempts).unwrap_or(0) + 1;
        let delay = delay(FIRST_DELAY, LONGEST_DELAY, attempt, fastrand::f64());
        tracing::warn!(
            events = rows.len(), event.id = %first.envelope.id, event.r#type = first.envelope.event_type, attempt, reason,
            "the broker did not take events; they stay in the outbox"
        );
        let _turn = self.store.turn_to_write().await?;
        let sequences = rows.iter().map(|row| row.sequence);
        outbox::postpone(self.store.connection(), sequences, reason, millis(delay)).await
    }
}

/// All answers that are there, at least one: what is confirmed together is marked together.
pub(super) async fn next_outcomes(
    confirms: &mut FuturesUnordered<BoxFuture<'static, Outcome>>,
) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = confirms.next().await.into_iter().collect();
    while let Some(Some(outcome)) = confirms.next().now_or_never() {
        outcomes.push(outcome);
    }
    outcomes
}
