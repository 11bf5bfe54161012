//! Passing over what an operator has discarded: in its turn, so that what waits behind it goes on and nothing else changes.

use event::{Envelope, aggregate_type};

use super::due::held_on;
use super::{Failure, Handling, Outcome};
use crate::consumer::decision::{Turn, turn};
use crate::inbox::{self, Due, Held, held};
use crate::retry::millis;
use crate::store::Transaction;

/// When to look at it again.
enum Passing {
    Now,
    In(i64),
    AfterAnEarlierOne,
}

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
            Passing::In(wait) => Some(wait),
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
        let id = &envelope.aggregate_id;
        let position = inbox::position(transaction, self.consumer(), aggregate, id).await?;
        match turn(position, version) {
            Turn::Now | Turn::Past => (),
            Turn::Later => return Ok(Passing::AfterAnEarlierOne),
            Turn::Unknown if !self.is_baseline(transaction, aggregate, &envelope).await? => {
                return Ok(Passing::AfterAnEarlierOne);
            }
            // The order may begin behind it, but not before its beginning has had its time to come.
            Turn::Unknown => {
                let wait = millis(self.baseline_wait).saturating_sub(due.here_for_ms);
                if wait > 0 {
                    return Ok(Passing::In(wait));
                }
            }
        }
        inbox::advance(transaction, self.consumer(), aggregate, id, version).await?;
        Ok(Passing::Now)
    }

    /// `None` for what stands in no order: it could not even be read, or its kind is taken each on its own.
    fn in_its_order<'a>(&self, due: &'a Due) -> Option<(&'a str, Envelope, i64)> {
        let envelope = Envelope::from_message(&due.message).ok()?;
        let aggregate = aggregate_type(&due.message.routing_key);
        let version = self.version(aggregate, &envelope).ok()??;
        Some((aggregate, envelope, version))
    }
}
