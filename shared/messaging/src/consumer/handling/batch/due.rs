//! What to do with held events that are due, given the positions of their aggregates.

use std::collections::HashSet;

use event::Envelope;

use super::{Action, Batch, Progress, Step};
use crate::consumer::decision::{Release, Turn, released};
use crate::consumer::handling::{Failure, Handling};
use crate::inbox::Due;
use crate::inbox::positions;
use crate::subscription::Delivered;
use crate::transaction::Transaction;

impl Handling {
    /// `None` where they have to be taken up alone: an operator or an attempt that never ended has a hand in one, or it needs a look at
    /// what else is held.
    pub(super) async fn decide_due<'a>(
        &self,
        transaction: &Transaction,
        group: &'a [Due],
    ) -> Result<Option<Batch<'a>>, Failure> {
        let (mut events, mut ordered) = (Vec::with_capacity(group.len()), HashSet::new());
        for due in group {
            let Ok(envelope) = Envelope::from_message(&due.message) else {
                return Ok(None);
            };
            if due.discarded || due.replayed || due.never_ended > 0 {
                return Ok(None);
            }
            let order = self.order(&due.message, &envelope)?;
            ordered.extend(order.iter().map(|(aggregate, _)| aggregate.clone()));
            events.push((due, envelope, order));
        }
        let last = positions::lock(transaction, self.consumer(), ordered).await?;
        let mut progress = Progress::from(last);
        let mut steps = Vec::with_capacity(events.len());
        for (due, envelope, order) in events {
            let turn = progress.turn(order.as_ref());
            if turn == Turn::Unknown {
                return Ok(None);
            }
            let is_known = self.subscriptions.knows(&envelope.event_type);
            let attempt = due.attempts + 1;
            let action = match released(turn, false, false, is_known) {
                Release::Handle => {
                    progress.handled(order);
                    let now_ms = due.now_ms;
                    let delivered = Delivered {
                        envelope,
                        attempt,
                        now_ms,
                    };
                    Action::Handle(delivered, Some(due))
                }
                Release::Wait => Action::WaitAgain(due),
                Release::Begin | Release::Skip | Release::Overtaken => return Ok(None),
            };
            steps.push(Step {
                message: &due.message,
                event_id: due.event_id.clone(),
                attempt,
                action,
            });
        }
        Ok(Some(Batch {
            steps,
            moved: progress.moved,
        }))
    }
}
