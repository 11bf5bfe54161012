//! Passing over what an operator has discarded: in its turn, so that what waits behind it goes on and nothing else changes.

use std::time::Duration;

use event::{Envelope, aggregate_type};

use super::due::held_on;
use super::{Failure, Handling, Outcome};
use crate::consumer::decision::{Passing, discarded, turn};
use crate::inbox::{Due, Held, held};
use crate::retry::millis;
use crate::transaction::Transaction;

impl Handling {
    pub(super) async fn discarded(
        &self,
        transaction: &Transaction,
        due: &Due,
    ) -> Result<Outcome, Failure> {
        let left_for = match self.passing(transaction, due).await? {
            Passing::Now => {
                let passed = held::pass_over(transaction, due).await?;
                return Ok(held_on(passed, Held::Discarded));
            }
            Passing::In(left) => Some(millis(left)),
            Passing::AfterAnEarlierOne => None,
        };
        let left = held::leave(transaction, due, left_for).await?;
        Ok(held_on(left, Held::Waiting))
    }

    /// Moves the position past the event where it is its turn.
    async fn passing(&self, transaction: &Transaction, due: &Due) -> Result<Passing, Failure> {
        let Some((aggregate, envelope, version)) = self.in_its_order(due) else {
            return Ok(Passing::Now);
        };
        let position = self.position(transaction, aggregate, &envelope).await?;
        let turn = turn(position, version);
        let is_lowest = self
            .is_lowest(turn, transaction, aggregate, &envelope)
            .await?;
        let here_for = Duration::from_millis(u64::try_from(due.here_for_ms).unwrap_or(0));
        let passing = discarded(turn, is_lowest, here_for, self.baseline_wait);
        if passing == Passing::Now {
            self.advance(transaction, aggregate, &envelope).await?;
        }
        Ok(passing)
    }

    /// `None` for what stands in no order: it could not even be read, or its kind is taken each on its own.
    fn in_its_order<'a>(&self, due: &'a Due) -> Option<(&'a str, Envelope, i64)> {
        let envelope = Envelope::from_message(&due.message).ok()?;
        let aggregate = aggregate_type(&due.message.routing_key);
        let version = self.version(aggregate, &envelope).ok()??;
        Some((aggregate, envelope, version))
    }
}
