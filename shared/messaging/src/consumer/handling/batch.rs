//! Events that have just arrived, in one transaction: their positions locked first and in one order, their inbox rows written in one
//! statement, then their handlers one by one, and last the positions moved in one statement.
//!
//! Guarantee: as for one event alone. Whoever meets something out of the ordinary rolls all of it back, and takes each up alone.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use event::{Envelope, Message, aggregate_type};

use super::{Failure, Handling, OVERTAKEN, Outcome, undecodable};
use crate::consumer::decision::{Arrival, Turn, arrived, turn};
use crate::consumer::processing;
use crate::faults;
use crate::inbox::positions::{self, Aggregate};
use crate::inbox::{self, Handled, Held};
use crate::retry::millis;
use crate::subscription::Delivered;
use crate::transaction::Transaction;

/// How long all handlers of a batch may take. One that hangs costs its lane no more than this beside its own time-out.
const LIMIT: Duration = Duration::from_secs(1);

/// What to do with the events of a batch, in their order.
pub(in crate::consumer) struct Batch {
    pub(in crate::consumer) steps: Vec<Step>,
    pub(in crate::consumer) end: BatchEnd,
}

/// What is to be done after the last step, and by when.
pub(in crate::consumer) struct BatchEnd {
    moved: HashMap<Aggregate, i64>,
    at: Instant,
}

pub(in crate::consumer) enum Step {
    /// And when it came, in Unix milliseconds.
    Handle(Delivered, i64),
    /// It was seen before.
    Duplicate,
    Hold {
        event_id: String,
        envelope: Option<Envelope>,
        held: Held,
        cause: Option<String>,
        due_in_ms: Option<i64>,
    },
}

/// An event that can be read, and its version where its aggregate's events are taken in order.
struct Readable {
    envelope: Envelope,
    aggregate: Aggregate,
    version: Option<i64>,
}

impl Handling {
    /// Locks the positions of all events, decides on each, and writes the inbox rows of those to be handled. `None` where they have to
    /// be taken up one by one.
    pub(in crate::consumer) async fn prepare(
        &self,
        transaction: &Transaction,
        messages: &[&Message],
    ) -> Result<Option<Batch>, Failure> {
        let mut events = Vec::with_capacity(messages.len());
        for message in messages {
            events.push(self.read(message)?);
        }
        let ordered = events.iter().flatten().filter(|it| it.version.is_some());
        let aggregates: HashSet<Aggregate> = ordered.map(|it| it.aggregate.clone()).collect();
        let mut last = positions::lock(transaction, self.consumer(), aggregates).await?;
        let mut moved = HashMap::new();

        let mut steps = Vec::with_capacity(events.len());
        for (event, message) in events.into_iter().zip(messages) {
            let step = match event {
                Ok(event) => self.step(event, &mut last, &mut moved),
                Err(cause) => Step::Hold {
                    event_id: event::event_id(message).to_string(),
                    envelope: None,
                    held: Held::Dead,
                    cause: Some(cause),
                    due_in_ms: None,
                },
            };
            if matches!(
                &step,
                Step::Hold {
                    held: Held::Skipped,
                    ..
                }
            ) {
                // Only its own row says whether the position moves past it.
                return Ok(None);
            }
            steps.push(step);
        }
        let is_complete = self.note(transaction, messages, &mut steps).await?;
        let at = Instant::now() + LIMIT;
        Ok(is_complete.then_some(Batch {
            steps,
            end: BatchEnd { moved, at },
        }))
    }

    /// Does what was decided on one event.
    pub(in crate::consumer) async fn carry_out(
        &self,
        transaction: &Transaction,
        message: &Message,
        step: Step,
        end: &BatchEnd,
    ) -> Result<Outcome, Failure> {
        match step {
            Step::Handle(delivered, came_ms) => {
                processing::note_queue_wait(message, came_ms);
                let left = end.at.saturating_duration_since(Instant::now());
                let limit = left.min(self.handler_time_out);
                self.call(transaction, message, &delivered, limit).await?;
                Ok(Outcome::Handled)
            }
            Step::Duplicate => Ok(Outcome::Duplicate),
            Step::Hold {
                event_id,
                envelope,
                held,
                cause,
                due_in_ms,
            } => {
                let entry = self.entry(&event_id, envelope.as_ref(), message);
                self.hold(transaction, &entry, held, cause.as_deref(), due_in_ms)
                    .await
            }
        }
    }

    /// Moves the positions past all that was handled.
    pub(in crate::consumer) async fn finish(
        &self,
        transaction: &Transaction,
        end: BatchEnd,
    ) -> Result<(), Failure> {
        let moved = end
            .moved
            .iter()
            .map(|(aggregate, version)| (aggregate, *version));
        Ok(positions::advance(transaction, self.consumer(), moved).await?)
    }

    /// The event, or why it cannot be read.
    fn read(&self, message: &Message) -> Result<Result<Readable, String>, Failure> {
        let envelope = match Envelope::from_message(message) {
            Ok(envelope) => envelope,
            Err(error) => return Ok(Err(undecodable(&error))),
        };
        let aggregate = aggregate_type(&message.routing_key);
        let version = self.version(aggregate, &envelope)?;
        Ok(Ok(Readable {
            aggregate: (aggregate.to_owned(), envelope.aggregate_id.clone()),
            envelope,
            version,
        }))
    }

    /// What to do with an event, given the versions that are handled before it, earlier ones of the batch included.
    fn step(
        &self,
        event: Readable,
        last: &mut HashMap<Aggregate, i64>,
        moved: &mut HashMap<Aggregate, i64>,
    ) -> Step {
        let Readable {
            envelope,
            aggregate,
            version,
        } = event;
        let turn = version.map_or(Turn::Now, |version| {
            turn(last.get(&aggregate).copied(), version)
        });
        let (held, cause, due_in_ms) =
            match arrived(turn, self.subscriptions.knows(&envelope.event_type)) {
                Arrival::Handle => {
                    if let Some(version) = version {
                        last.insert(aggregate.clone(), version);
                        moved.insert(aggregate, version);
                    }
                    let delivered = Delivered {
                        envelope,
                        attempt: 1,
                    };
                    return Step::Handle(delivered, 0);
                }
                Arrival::Skip => (Held::Skipped, None, None),
                Arrival::Wait => (Held::Waiting, None, None),
                Arrival::WaitForTheBeginning => {
                    (Held::Waiting, None, Some(millis(self.baseline_wait)))
                }
                Arrival::Overtaken => (Held::Dead, Some(OVERTAKEN.to_owned()), None),
            };
        Step::Hold {
            event_id: envelope.id.to_string(),
            envelope: Some(envelope),
            held,
            cause,
            due_in_ms,
        }
    }

    /// Writes the inbox rows of the events to be handled. `false` where an event in order was seen before: whether it was handled, and so
    /// what comes after it, is not decided here.
    async fn note(
        &self,
        transaction: &Transaction,
        messages: &[&Message],
        steps: &mut [Step],
    ) -> Result<bool, Failure> {
        let events: Vec<Handled<'_>> = messages
            .iter()
            .zip(&*steps)
            .filter_map(|(message, step)| match step {
                Step::Handle(delivered, _) => Some(Handled {
                    envelope: &delivered.envelope,
                    aggregate_type: aggregate_type(&message.routing_key),
                }),
                _ => None,
            })
            .collect();
        let mut came = inbox::first_times(transaction, self.consumer(), &events).await?;
        faults::point("seen");
        for (message, step) in messages.iter().zip(steps) {
            let Step::Handle(Delivered { envelope, .. }, came_ms) = step else {
                continue;
            };
            if let Some(now) = came.remove(&envelope.id) {
                *came_ms = now;
                continue;
            }
            let aggregate = aggregate_type(&message.routing_key);
            if self.version(aggregate, envelope)?.is_some() {
                return Ok(false);
            }
            *step = Step::Duplicate;
        }
        Ok(true)
    }
}
