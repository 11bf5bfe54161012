//! What to do with messages that have just arrived, given the positions of their aggregates.

use std::collections::{HashMap, HashSet};

use event::{Envelope, Message, aggregate_type, event_id};

use super::{Action, Batch, Origin, Step};
use crate::consumer::decision::{Arrival, Turn, arrived, turn};
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
        let mut last = positions::lock(transaction, self.consumer(), ordered).await?;
        let mut moved = HashMap::new();
        let mut steps = Vec::with_capacity(events.len());
        for (message, envelope, order) in events {
            let action = match envelope {
                Ok(envelope) => self.on_arrival(envelope, order, &mut last, &mut moved),
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
        Ok(Some(Batch { steps, moved }))
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

    /// `last` has the versions that are handled before this event, earlier ones of the batch included.
    fn on_arrival(
        &self,
        envelope: Envelope,
        order: Option<(Aggregate, i64)>,
        last: &mut HashMap<Aggregate, i64>,
        moved: &mut HashMap<Aggregate, i64>,
    ) -> Action<'static> {
        let turn = order.as_ref().map_or(Turn::Now, |(aggregate, version)| {
            turn(last.get(aggregate).copied(), *version)
        });
        let is_known = self.subscriptions.knows(&envelope.event_type);
        let (held, cause, due_in_ms) = match arrived(turn, is_known) {
            Arrival::Handle => {
                if let Some((aggregate, version)) = order {
                    last.insert(aggregate.clone(), version);
                    moved.insert(aggregate, version);
                }
                let delivered = Delivered {
                    envelope,
                    attempt: 1,
                };
                return Action::Handle(delivered, Origin::Arrived(0));
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
