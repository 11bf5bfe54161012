//! Keeping what cannot be handled now, with the reason: the other half of [`Handling`].
//!
//! Each of these writes the inbox row and answers what was kept and why; it is told once it is committed.

use std::time::Duration;

use event::{Envelope, Message, event_id};
use sea_orm::DbErr;

use super::{Failure, Handling, Outcome, undecodable};
use crate::consumer::decision::{AfterFailure, after_failure, failing_for};
use crate::inbox::{self, Due, Entry, Held, held};
use crate::retry::millis;
use crate::subscription::HandlerError;
use crate::transaction::Transaction;

/// Why RabbitMQ has dead-lettered a message.
const DEATH_REASON: &str = "x-first-death-reason";

impl Handling {
    /// Notes that an attempt has failed, in a transaction of its own: the attempt's own one was rolled back.
    pub(in crate::consumer) async fn failed(
        &self,
        transaction: &Transaction,
        message: &Message,
        error: &HandlerError,
        due: Option<&Due>,
    ) -> Result<Outcome, DbErr> {
        let attempt = due.map_or(0, |due| due.attempts) + 1;
        let policy = self.policy(message);
        let longest_each = policy.longest_delay.saturating_add(self.handler_time_out);
        let failing_for = due.map_or(Duration::ZERO, |due| {
            failing_for(due.failing_for_ms, due.attempts, longest_each)
        });
        let (outcome, held, due_in_ms) =
            match after_failure(error, attempt, failing_for, &policy, fastrand::f64()) {
                AfterFailure::Defer(delay) => {
                    let deferred = Outcome::Deferred(delay, error.to_string());
                    (deferred, Held::Deferred, Some(millis(delay)))
                }
                AfterFailure::GiveUp(cause) => {
                    (Outcome::Held(Held::Dead, Some(cause)), Held::Dead, None)
                }
            };
        let cause = outcome.cause().unwrap_or_default();
        let Some(due) = due else {
            let event_id = event_id(message).to_string();
            let envelope = Envelope::from_message(message).ok();
            let entry = self.entry(&event_id, envelope.as_ref(), message);
            inbox::fail(transaction, &entry, held, cause, due_in_ms).await?;
            return Ok(outcome);
        };
        match held::fail(transaction, due, held, cause, due_in_ms).await? {
            true => Ok(outcome),
            false => Ok(Outcome::Duplicate),
        }
    }

    /// Gives up on an event that has ended whoever began to handle it, time after time.
    pub(super) async fn never_ended(
        &self,
        transaction: &Transaction,
        due: &Due,
    ) -> Result<Outcome, Failure> {
        let times = due.never_ended;
        let before = due
            .cause
            .as_deref()
            .unwrap_or("it has not failed otherwise");
        let cause = format!(
            "{times} attempts in a row did not end: the process that handled it did ({before})"
        );
        match held::fail(transaction, due, Held::Dead, &cause, None).await? {
            true => Ok(Outcome::Held(Held::Dead, Some(cause))),
            false => Ok(Outcome::Duplicate),
        }
    }

    /// Keeps what the broker has given up on.
    pub(in crate::consumer) async fn dead_lettered(
        &self,
        transaction: &Transaction,
        message: &Message,
    ) -> Result<Outcome, DbErr> {
        let reason = message
            .headers
            .get(DEATH_REASON)
            .map_or("delivery_limit", String::as_str);
        let mut cause =
            format!("the broker gave it up ({reason}): it was delivered and never acknowledged");
        let event_id = event_id(message).to_string();
        let envelope = Envelope::from_message(message);
        if let Err(error) = &envelope {
            cause = format!("{cause}; {}", undecodable(error));
        }
        let entry = self.entry(&event_id, envelope.as_ref().ok(), message);
        if !inbox::hold(transaction, &entry, Held::Dead, Some(&cause), None).await? {
            return Ok(Outcome::Duplicate);
        }
        Ok(Outcome::Held(Held::Dead, Some(cause)))
    }

    pub(super) async fn hold(
        &self,
        transaction: &Transaction,
        entry: &Entry<'_>,
        held: Held,
        cause: Option<&str>,
        due_in_ms: Option<i64>,
    ) -> Result<Outcome, Failure> {
        if !inbox::hold(transaction, entry, held, cause, due_in_ms).await? {
            return Ok(Outcome::Duplicate);
        }
        Ok(Outcome::Held(held, cause.map(str::to_owned)))
    }

    pub(super) fn entry<'a>(
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
