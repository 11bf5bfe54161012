//! Holds events in the inbox that cannot be handled now, with the reason.
//!
//! Guarantee: the row is written before the delivery is acknowledged; telemetry reports it after the commit.

use std::time::Duration;

use event::{Envelope, Message, event_id};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use super::decide::{AfterFailure, Passing, after_failure, failing_for};
use super::outcome::{Failure, Outcome, StoreFailed};
use super::pipeline::Pipeline;
use super::plan::undecodable;
use super::step::{Action, Item, Step};
use crate::inbox::{self, Entry, NotDone, held};
use crate::reconnect::Reconnect;
use crate::retry::millis;
use crate::store::Store;
use crate::subscription::HandlerError;
use crate::transaction::Transaction;

const DEATH_REASON: &str = "x-first-death-reason";
/// Tries to record that a handler did not end: both may wait for the same lock, up to the time limit of a statement.
const NOTING: usize = 3;

impl Pipeline {
    pub(super) async fn park(
        &self,
        transaction: &Transaction,
        step: &Step<'_>,
    ) -> Result<Outcome, Failure> {
        let outcome = match &step.action {
            Action::Hold { state, cause, .. } => Outcome::NotDone(*state, cause.clone()),
            Action::HoldUnknown(left) => Outcome::Unknown(*left),
            Action::WaitAgain | Action::PassOver(Passing::In(_) | Passing::AfterAnEarlierOne) => {
                Outcome::NotDone(NotDone::Waiting, None)
            }
            Action::PassOver(Passing::Now) => Outcome::NotDone(NotDone::Discarded, None),
            Action::GiveUp => Outcome::NotDone(NotDone::Dead, never_ended(&step.item)),
            Action::Handle(_) | Action::Begin(_) | Action::Skip(_) | Action::Duplicate => {
                Outcome::Duplicate
            }
        };
        let is_written = match step.item.leased {
            None => self.park_arrived(transaction, step).await?,
            Some(leased) => match &step.action {
                Action::HoldUnknown(left) => held::await_type(transaction, leased, *left).await?,
                Action::WaitAgain => held::park(transaction, leased, NotDone::Waiting).await?,
                Action::PassOver(Passing::Now) => held::pass_over(transaction, leased).await?,
                Action::PassOver(Passing::In(left)) => {
                    held::leave(transaction, leased, Some(millis(*left))).await?
                }
                Action::PassOver(Passing::AfterAnEarlierOne) => {
                    held::leave(transaction, leased, None).await?
                }
                Action::GiveUp => {
                    let cause = outcome.cause().unwrap_or_default();
                    held::fail(transaction, leased, NotDone::Dead, cause, None).await?
                }
                _ => false,
            },
        };
        Ok(if is_written {
            outcome
        } else {
            Outcome::Duplicate
        })
    }

    async fn park_arrived(
        &self,
        transaction: &Transaction,
        step: &Step<'_>,
    ) -> Result<bool, DbErr> {
        let event_id = step.item.event_id();
        let envelope = Envelope::from_message(step.item.message).ok();
        let entry = self.entry(&event_id, envelope.as_ref(), step.item.message);
        match &step.action {
            Action::Hold {
                state,
                cause,
                due_in_ms,
            } => inbox::hold(transaction, &entry, *state, cause.as_deref(), *due_in_ms).await,
            Action::HoldUnknown(left) => inbox::await_type(transaction, &entry, *left).await,
            _ => Ok(false),
        }
    }

    /// `false` if another worker has taken the event.
    pub(super) async fn skip(
        &self,
        transaction: &Transaction,
        item: Item<'_>,
    ) -> Result<bool, DbErr> {
        match item.leased {
            Some(leased) => held::park(transaction, leased, NotDone::Skipped).await,
            None => Ok(false),
        }
    }

    /// Leaves a new event to the retry worker, so that its lane goes on. No attempt counts.
    ///
    /// # Errors
    /// If the store is unavailable.
    pub(super) async fn set_aside(
        &self,
        store: &Store,
        item: Item<'_>,
        cause: &str,
    ) -> Result<Outcome, DbErr> {
        let event_id = item.event_id();
        let envelope = Envelope::from_message(item.message).ok();
        let entry = self.entry(&event_id, envelope.as_ref(), item.message);
        let transaction = store.begin().await?;
        let held = inbox::hold(
            &transaction,
            &entry,
            NotDone::Deferred,
            Some(cause),
            Some(0),
        );
        let is_held = held.await?;
        transaction.commit().await?;
        Ok(match is_held {
            true => Outcome::Deferred(Duration::ZERO, cause.to_owned()),
            false => Outcome::Duplicate,
        })
    }

    /// # Errors
    /// If the store is unavailable: then no attempt counts.
    pub(super) async fn note(
        &self,
        store: &Store,
        item: Item<'_>,
        failure: Failure,
    ) -> Result<Outcome, StoreFailed> {
        let (error, times) = match failure {
            Failure::Store(error) => return Err(error.into()),
            Failure::StoreOfHandler(error) => {
                return Err(StoreFailed {
                    error,
                    in_handler: true,
                });
            }
            Failure::Handler(error) => (error, 1),
            Failure::Apart | Failure::TooLong(_) => (HandlerError::retry(failure.to_string()), 1),
            // An event that never ends must count, or it is retried forever.
            Failure::TimedOut(error) => (error, NOTING),
        };
        let (mut reconnect, stop) = (Reconnect::default(), CancellationToken::new());
        for _ in 1..times {
            if let Ok(outcome) = self.note_once(store, item, &error).await {
                return Ok(outcome);
            }
            reconnect.pause(&stop).await;
        }
        Ok(self.note_once(store, item, &error).await?)
    }

    /// The attempt's own transaction was rolled back.
    async fn note_once(
        &self,
        store: &Store,
        item: Item<'_>,
        error: &HandlerError,
    ) -> Result<Outcome, DbErr> {
        let transaction = store.begin().await?;
        let outcome = self.failed(&transaction, item, error).await?;
        transaction.commit().await?;
        Ok(outcome)
    }

    async fn failed(
        &self,
        transaction: &Transaction,
        item: Item<'_>,
        error: &HandlerError,
    ) -> Result<Outcome, DbErr> {
        let policy = self.policy(item.message);
        let longest_each = policy.longest_delay.saturating_add(self.handler_time_out);
        let failing_for = item.leased.map_or(Duration::ZERO, |leased| {
            failing_for(leased.failing_for_ms, leased.attempts, longest_each)
        });
        let random = fastrand::f64();
        let (outcome, state, due_in_ms) =
            match after_failure(error, item.attempt(), failing_for, &policy, random) {
                AfterFailure::Defer(delay) => {
                    let deferred = Outcome::Deferred(delay, error.to_string());
                    (deferred, NotDone::Deferred, Some(millis(delay)))
                }
                AfterFailure::GiveUp(cause) => (
                    Outcome::NotDone(NotDone::Dead, Some(cause)),
                    NotDone::Dead,
                    None,
                ),
            };
        let cause = outcome.cause().unwrap_or_default();
        let Some(leased) = item.leased else {
            let event_id = item.event_id();
            let envelope = Envelope::from_message(item.message).ok();
            let entry = self.entry(&event_id, envelope.as_ref(), item.message);
            inbox::fail(transaction, &entry, state, cause, due_in_ms).await?;
            return Ok(outcome);
        };
        match held::fail(transaction, leased, state, cause, due_in_ms).await? {
            true => Ok(outcome),
            false => Ok(Outcome::Duplicate),
        }
    }

    pub(super) async fn dead_lettered(
        &self,
        transaction: &Transaction,
        message: &Message,
    ) -> Result<Outcome, DbErr> {
        let reason = message
            .headers
            .get(DEATH_REASON)
            .map_or("delivery_limit", String::as_str);
        let mut cause =
            format!("the broker gave it up ({reason}): it was delivered but never acknowledged");
        let event_id = event_id(message).to_string();
        let envelope = Envelope::from_message(message);
        if let Err(error) = &envelope {
            cause = format!("{cause}; {}", undecodable(error));
        }
        let entry = self.entry(&event_id, envelope.as_ref().ok(), message);
        if !inbox::hold(transaction, &entry, NotDone::Dead, Some(&cause), None).await? {
            return Ok(Outcome::Duplicate);
        }
        Ok(Outcome::NotDone(NotDone::Dead, Some(cause)))
    }

    fn entry<'a>(
        &self,
        event_id: &'a str,
        envelope: Option<&'a Envelope>,
        message: &'a Message,
    ) -> Entry<'a> {
        Entry {
            consumer: self.consumer(),
            event_id,
            envelope,
            message,
        }
    }
}

fn never_ended(item: &Item<'_>) -> Option<String> {
    let leased = item.leased?;
    let times = leased.never_ended;
    let before = leased.cause.as_deref().unwrap_or("no other failure");
    Some(format!(
        "{times} attempts in a row did not end, because the process ended ({before})"
    ))
}
