//! Decides what to do with a group of events in a shared transaction, both new and held ones.
//!
//! Guarantee: the positions of all aggregates are locked before any inbox row, in a fixed order, so transactions do not
//! deadlock. After [`Pipeline::plan`] only the handlers remain.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use event::{Envelope, Message, aggregate_type};

use super::decide::{self, Arrival, Known, Passing, Release, Turn, turn};
use super::outcome::Failure;
use super::pipeline::Pipeline;
use super::step::{Action, Item, Plan, Step};
use crate::inbox::positions::{self, Aggregate, Moved};
use crate::inbox::{self, Handled, NotDone, RetryLease, held};
use crate::retry::millis;
use crate::subscription::{Delivered, HandlerError};
use crate::transaction::Transaction;

pub(crate) const OVERTAKEN: &str = "it arrived after the baseline of its aggregate";

struct Read<'a> {
    item: Item<'a>,
    envelope: Result<Envelope, String>,
    order: Option<(Aggregate, i64)>,
}

struct Progress {
    last: HashMap<Aggregate, i64>,
    moved: HashMap<Aggregate, Moved>,
}

impl Progress {
    /// Relative to handled events and earlier ones of the group.
    fn turn(&self, order: Option<&(Aggregate, i64)>) -> Turn {
        order.map_or(Turn::Now, |(aggregate, version)| {
            turn(self.last.get(aggregate).copied(), *version)
        })
    }

    fn passes(&mut self, order: Option<(Aggregate, i64)>) {
        let Some((aggregate, version)) = order else {
            return;
        };
        self.last.insert(aggregate.clone(), version);
        let moved = self.moved.entry(aggregate).or_default();
        moved.version = version;
        moved.events += 1;
    }
}

impl Pipeline {
    /// Also writes the inbox rows of the events to handle.
    ///
    /// # Errors
    /// [`Failure::Apart`] if one of several events needs its own transaction.
    pub(super) async fn plan<'a>(
        &self,
        transaction: &Transaction,
        group: &[Item<'a>],
    ) -> Result<Plan<'a>, Failure> {
        let is_alone = group.len() == 1;
        let mut read = Vec::with_capacity(group.len());
        for item in group {
            if !is_alone && item.is_special() {
                return Err(Failure::Apart);
            }
            read.push(self.read(*item)?);
        }
        let ordered: HashSet<Aggregate> = read
            .iter()
            .filter_map(|read| read.order.as_ref())
            .map(|(aggregate, _)| aggregate.clone())
            .collect();
        let mut progress = Progress {
            last: positions::lock(transaction, self.consumer(), ordered).await?,
            moved: HashMap::new(),
        };
        let mut steps = Vec::with_capacity(read.len());
        for read in read {
            let (item, aggregate) = (read.item, read.order.as_ref());
            let aggregate = aggregate.map(|(aggregate, _)| aggregate.clone());
            let action = match item.leased {
                None => self.on_arrival(read, &mut progress),
                Some(leased) => {
                    let turn = progress.turn(read.order.as_ref());
                    // A late event moves no position: the decisions about later ones in the group would be wrong.
                    let is_late = turn == Turn::Past && leased.repaired;
                    let jumps = turn == Turn::Later && is_state(leased);
                    if (turn == Turn::Unknown || is_late || jumps) && !is_alone {
                        return Err(Failure::Apart);
                    }
                    let asks = turn == Turn::Unknown || jumps;
                    let lowest = asks && self.is_lowest(transaction, &read).await?;
                    self.on_release(leased, read, turn, lowest, &mut progress)?
                }
            };
            steps.push(Step {
                item,
                action,
                aggregate,
            });
        }
        self.write_rows(transaction, &mut steps).await?;
        Ok(Plan {
            steps,
            moved: progress.moved,
        })
    }

    fn read<'a>(&self, item: Item<'a>) -> Result<Read<'a>, Failure> {
        let envelope = Envelope::from_message(item.message);
        let order = match &envelope {
            Ok(envelope) => self.order(item.message, envelope),
            Err(_) => Ok(None),
        };
        // An event that cannot be ordered can still be discarded.
        let is_discarded = item.leased.is_some_and(|leased| leased.discarded);
        Ok(Read {
            item,
            envelope: envelope.map_err(|error| undecodable(&error)),
            order: if is_discarded {
                order.unwrap_or(None)
            } else {
                order?
            },
        })
    }

    fn order(
        &self,
        message: &Message,
        envelope: &Envelope,
    ) -> Result<Option<(Aggregate, i64)>, HandlerError> {
        let aggregate = aggregate_type(&message.routing_key);
        if !self.subscriptions.takes_in_order(aggregate) {
            return Ok(None);
        }
        let version = envelope.aggregate_version.ok_or_else(|| {
            HandlerError::reject(
                "undecodable: it has no cloudEvents_sequence, so it cannot be put in order",
            )
        })?;
        let aggregate = (aggregate.to_owned(), envelope.aggregate_id.clone());
        Ok(Some((aggregate, version)))
    }

    fn on_arrival(&self, read: Read<'_>, progress: &mut Progress) -> Action {
        let turn = progress.turn(read.order.as_ref());
        let hold = |state, cause, due_in_ms| Action::Hold {
            state,
            cause,
            due_in_ms,
        };
        let envelope = match read.envelope {
            Ok(envelope) => envelope,
            Err(cause) => return hold(NotDone::Dead, Some(cause), None),
        };
        match decide::arrived(turn, self.known(&envelope, None)) {
            Arrival::Handle => {
                progress.passes(read.order);
                Action::Handle(Delivered {
                    envelope,
                    attempt: 1,
                    late: false,
                    now_ms: 0,
                })
            }
            Arrival::Unknown(left) => Action::HoldUnknown(left),
            Arrival::Wait => hold(NotDone::Waiting, None, None),
            Arrival::WaitForTheBeginning => {
                hold(NotDone::Waiting, None, Some(millis(self.baseline_wait)))
            }
            Arrival::Overtaken => hold(NotDone::Dead, Some(OVERTAKEN.to_owned()), None),
        }
    }

    fn on_release(
        &self,
        leased: &RetryLease,
        read: Read<'_>,
        turn: Turn,
        is_lowest: bool,
        progress: &mut Progress,
    ) -> Result<Action, Failure> {
        if leased.discarded {
            let here_for = Duration::from_millis(u64::try_from(leased.here_for_ms).unwrap_or(0));
            let passing = decide::discarded(turn, is_lowest, here_for, self.baseline_wait);
            if passing == Passing::Now {
                progress.passes(read.order);
            }
            return Ok(Action::PassOver(passing));
        }
        // Once is no proof: the process may have ended for another reason.
        let most = self.policy(&leased.message).attempts.max(2);
        if leased.never_ended >= most {
            return Ok(Action::GiveUp);
        }
        let envelope = read.envelope.map_err(HandlerError::reject)?;
        let known = self.known(&envelope, leased.unknown_left_ms);
        let wanted = leased.replayed || leased.repaired;
        let decided = decide::released(turn, is_lowest, wanted, is_state(leased), known);
        let delivered = Delivered {
            envelope,
            attempt: read.item.attempt(),
            late: turn == Turn::Past && leased.repaired,
            now_ms: leased.now_ms,
        };
        let action = match decided {
            Release::Handle => Action::Handle(delivered),
            Release::Begin => Action::Begin(delivered),
            Release::Skip => Action::Skip(delivered),
            Release::Unknown(left) => return Ok(Action::HoldUnknown(left)),
            Release::Wait => return Ok(Action::WaitAgain),
            Release::Overtaken => return Err(HandlerError::reject(OVERTAKEN).into()),
        };
        progress.passes(read.order);
        Ok(action)
    }

    async fn is_lowest(&self, transaction: &Transaction, read: &Read<'_>) -> Result<bool, Failure> {
        let Some(((kind, id), version)) = &read.order else {
            return Ok(false);
        };
        let lowest = inbox::lowest_held(transaction, self.consumer(), kind, id).await?;
        Ok(lowest == Some(*version))
    }

    /// `left_ms`: for an event that already waits for its type.
    fn known(&self, envelope: &Envelope, left_ms: Option<i64>) -> Known {
        if self.subscriptions.knows(&envelope.event_type) {
            return Known::Yes;
        }
        let left = left_ms.map_or(self.unknown_wait, |left_ms| {
            let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
            // Even if the clock was set back.
            left.min(self.unknown_wait)
        });
        Known::No { left }
    }

    async fn write_rows(
        &self,
        transaction: &Transaction,
        steps: &mut [Step<'_>],
    ) -> Result<(), Failure> {
        let is_alone = steps.len() == 1;
        let (mut arrived, mut leased) = (Vec::new(), Vec::new());
        for step in &*steps {
            match (&step.action, step.item.leased) {
                (Action::Handle(delivered), None) => arrived.push(Handled {
                    envelope: &delivered.envelope,
                    aggregate_type: aggregate_type(&step.item.message.routing_key),
                }),
                (Action::Handle(_) | Action::Begin(_), Some(one)) => leased.push(one),
                _ => {}
            }
        }
        if !held::settle_all(transaction, &leased).await? {
            if !is_alone {
                return Err(Failure::Apart);
            }
            for step in &mut *steps {
                step.action = Action::Duplicate;
            }
            return Ok(());
        }
        for step in &*steps {
            if let (Action::Handle(delivered), Some(leased)) = (&step.action, step.item.leased)
                && delivered.late
            {
                held::mark_late(transaction, leased).await?;
            }
        }
        let mut came = inbox::first_times(transaction, self.consumer(), &arrived).await?;
        for step in steps {
            let (Action::Handle(delivered), None) = (&mut step.action, step.item.leased) else {
                continue;
            };
            if let Some(now_ms) = came.remove(&delivered.envelope.id) {
                delivered.now_ms = now_ms;
                continue;
            }
            if step.aggregate.is_some() && !is_alone {
                // The decisions about later events assume that this one is handled now.
                return Err(Failure::Apart);
            }
            step.action = Action::Duplicate;
        }
        Ok(())
    }
}

/// A message from the broker is an event, not a state.
fn is_state(leased: &RetryLease) -> bool {
    leased.repaired && leased.message.is_state()
}

pub(super) fn undecodable(error: &impl std::fmt::Display) -> String {
    format!("undecodable: {error}")
}
