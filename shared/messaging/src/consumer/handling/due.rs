//! A held event's way through one transaction, once its time has come.
//!
//! Its aggregate's position is locked before its own row, as everywhere: who waits for the one never holds the other.

use event::{Envelope, aggregate_type};
use sea_orm::DbErr;

use super::{Failure, Handling, OVERTAKEN, Outcome, undecodable};
use crate::consumer::decision::{Release, Turn, released};
use crate::inbox::{self, Due, Held, held};
use crate::subscription::{Delivered, HandlerError};
use crate::transaction::Transaction;

impl Handling {
    pub(in crate::consumer) async fn due(
        &self,
        transaction: &Transaction,
        due: &Due,
    ) -> Result<Outcome, Failure> {
        if due.discarded {
            return self.discarded(transaction, due).await;
        }
        if due.never_ended >= self.policy(&due.message).attempts {
            return self.never_ended(transaction, due).await;
        }
        let envelope = Envelope::from_message(&due.message)
            .map_err(|error| Failure::Handler(HandlerError::reject(undecodable(&error))))?;
        let aggregate = aggregate_type(&due.message.routing_key);
        let turn = self.turn(transaction, aggregate, &envelope).await?;
        let is_lowest = self
            .is_lowest(turn, transaction, aggregate, &envelope)
            .await?;
        let is_known = self.subscriptions.knows(&envelope.event_type);
        let handled = match released(turn, is_lowest, due.replayed, is_known) {
            Release::Handle => Outcome::Handled,
            Release::Begin => Outcome::Baseline,
            Release::Wait => {
                let parked = held::park(transaction, due, Held::Waiting).await?;
                return Ok(held_on(parked, Held::Waiting));
            }
            Release::Skip => {
                let parked = held::park(transaction, due, Held::Skipped).await?;
                if parked {
                    self.advance(transaction, aggregate, &envelope).await?;
                }
                return Ok(held_on(parked, Held::Skipped));
            }
            Release::Overtaken => return Err(Failure::Handler(HandlerError::reject(OVERTAKEN))),
        };
        if !held::settle(transaction, due).await? {
            return Ok(Outcome::Duplicate);
        }
        let delivered = Delivered {
            envelope,
            attempt: due.attempts + 1,
            now_ms: due.now_ms,
        };
        self.handle(transaction, &due.message, &delivered).await?;
        Ok(handled)
    }

    /// Whether nothing earlier of its aggregate is held, which is asked only where nothing else is known of it.
    pub(super) async fn is_lowest(
        &self,
        turn: Turn,
        transaction: &Transaction,
        aggregate: &str,
        envelope: &Envelope,
    ) -> Result<bool, DbErr> {
        if turn != Turn::Unknown {
            return Ok(false);
        }
        let (consumer, id) = (self.consumer(), &envelope.aggregate_id);
        let lowest = inbox::lowest_held(transaction, consumer, aggregate, id).await?;
        Ok(lowest == envelope.aggregate_version)
    }
}

/// What was written of a held event; where nothing was, it is in other hands by now.
pub(super) fn held_on(written: bool, held: Held) -> Outcome {
    match written {
        true => Outcome::Held(held, None),
        false => Outcome::Duplicate,
    }
}
