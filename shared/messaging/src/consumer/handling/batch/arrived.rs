//! What to do with messages that have just arrived, given the positions of their aggregates.

use std::collections::HashSet;

use event::{Envelope, Message, aggregate_type, event_id};

use super::{Action, Batch, Progress, Step};
use crate::consumer::decision::{Arrival, arrived};
use crate::consumer::handling::{Failure, Handling, OVERTAKEN, undecodable};
use crate::inbox::Held;
use crate::inbox::positions::{self, Aggregate};
use crate::retry::millis;
use crate::subscription::Delivered;
use crate::transaction::Transaction;

impl Handling {
    /// `None` where they have to be taken up alone.
    pub(super) async fn decide_arrived<'a>(
        &self,
        transaction: &Transaction,
        messages: &[&'a Message],
    ) -> Result<Option<Batch<'a>>, Failure> {
        let (mut events, mut ordered) = (Vec::with_capacity(messages.len()), HashSet::new());
        for message in messages {
            let envelope = Envelope::from_message(message).map_err(|error| undecodable(&error));
            let order = match &envelope {
                Ok(envelope) => self.order(message, envelope)?,
                Err(_) => None,
            };
            ordered.extend(order.iter().map(|(aggregate, _)| aggregate.clone()));
            events.push((*message, envelope, order));
        }
        let last = positions::lock(transaction, self.consumer(), ordered).await?;
        let mut progress = Progress::from(last);
        let mut steps = Vec::with_capacity(events.len());
        for (message, envelope, order) in events {
            let action = match envelope {
                Ok(envelope) => self.on_arrival(envelope, order, &mut progress),
                Err(cause) => Action::Hold {
                    held: Held::Dead,
                    cause: Some(cause),
                    due_in_ms: None,
                },
            };
            let skipped = Held::Skipped;
            if matches!(&action, Action::Hold { held, .. } if *held == skipped) {
                // Only its own row says whether the position moves past it.
                return Ok(None);
            }
            steps.push(Step {
                message,
                event_id: event_id(message).to_string(),
                attempt: 1,
                action,
            });
        }
        Ok(Some(Batch {
            steps,
            moved: progress.moved,
        }))
    }

    /// The event's aggregate and version, where its aggregate's events are taken in order.
    pub(super) fn order(
        &self,
        message: &Message,
        envelope: &Envelope,
    ) -> Result<Option<(Aggregate, i64)>, Failure> {
        let aggregate = aggregate_type(&message.routing_key);
        let version = self.version(aggregate, envelope)?;
        Ok(version.map(|version| {
            let aggregate = (aggregate.to_owned(), envelope.aggregate_id.clone());
            (aggregate, version)
        }))
    }

    fn on_arrival(
        &self,
        envelope: Envelope,
        order: Option<(Aggregate, i64)>,
        progress: &mut Progress,
    ) -> Action<'static> {
        let turn = progress.turn(order.as_ref());
        let is_known = self.subscriptions.knows(&envelope.event_type);
        let (held, cause, due_in_ms) = match arrived(turn, is_known) {
            Arrival::Handle => {
                progress.handled(order);
                let delivered = Delivered {
                    envelope,
                    attempt: 1,
                    // Its inbox row, which is written later, has the time.
                    now_ms: 0,
                };
                return Action::Handle(delivered, None);
            }
            Arrival::Skip => (Held::Skipped, None, None),
            Arrival::Wait => (Held::Waiting, None, None),
            Arrival::WaitForTheBeginning => (Held::Waiting, None, Some(millis(self.baseline_wait))),
            Arrival::Overtaken => (Held::Dead, Some(OVERTAKEN.to_owned()), None),
        };
        Action::Hold {
            held,
            cause,
            due_in_ms,
        }
    }
}
