//! Several events in one transaction: their positions locked first and in one order, their inbox rows written in one statement, then
//! their handlers one by one, and last the positions moved in one statement.
//!
//! Guarantee: as for one event alone. Anything out of the ordinary rolls all of it back, and each event is taken up alone.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use event::{Message, aggregate_type};
use tracing::Instrument as _;

use super::{Failure, Handling, Outcome};
use crate::consumer::decision::{Turn, turn};
use crate::consumer::processing::{self, Processing};
use crate::faults;
use crate::inbox::positions::{self, Aggregate, Moved};
use crate::inbox::{self, Due, Handled, Held, held};
use crate::store::Store;
use crate::subscription::Delivered;
use crate::transaction::Transaction;

mod arrived;
mod due;

/// The most events that share a transaction.
pub(in crate::consumer) const TOGETHER: usize = 50;
/// How long all handlers of a batch may take. One that hangs costs no more than this beside its own time-out.
const LIMIT: Duration = Duration::from_secs(1);

/// What to do with the events of a batch, in their order, and where the positions are after it.
struct Batch<'a> {
    steps: Vec<Step<'a>>,
    moved: HashMap<Aggregate, Moved>,
}

/// How far each aggregate is while a batch is decided on.
struct Progress {
    last: HashMap<Aggregate, i64>,
    moved: HashMap<Aggregate, Moved>,
}

impl Progress {
    fn from(last: HashMap<Aggregate, i64>) -> Self {
        Self {
            last,
            moved: HashMap::new(),
        }
    }

    /// What it means to the event that earlier ones, of the batch included, are handled.
    fn turn(&self, order: Option<&(Aggregate, i64)>) -> Turn {
        order.map_or(Turn::Now, |(aggregate, version)| {
            turn(self.last.get(aggregate).copied(), *version)
        })
    }

    fn handled(&mut self, order: Option<(Aggregate, i64)>) {
        let Some((aggregate, version)) = order else {
            return;
        };
        self.last.insert(aggregate.clone(), version);
        let moved = self.moved.entry(aggregate).or_default();
        moved.version = version;
        moved.events += 1;
    }
}

struct Step<'a> {
    message: &'a Message,
    event_id: String,
    attempt: u32,
    action: Action<'a>,
}

enum Action<'a> {
    /// One that has just arrived, or a held one.
    Handle(Delivered, Option<&'a Due>),
    /// It was seen before.
    Duplicate,
    Hold {
        held: Held,
        cause: Option<String>,
        due_in_ms: Option<i64>,
    },
    /// Held already, and its turn has not come.
    WaitAgain(&'a Due),
}

impl Handling {
    /// Takes up messages that have just arrived, in one transaction. `false` where each has to be taken up alone.
    pub(in crate::consumer) async fn arrived_together(
        &self,
        store: &Store,
        messages: &[&Message],
    ) -> Result<bool, Failure> {
        let transaction = store.begin().await?;
        let batch = self.decide_arrived(&transaction, messages).await?;
        self.carry_out(transaction, batch).await
    }

    /// Takes up held events that are due, in one transaction. `false` where each has to be taken up alone.
    pub(in crate::consumer) async fn due_together(
        &self,
        store: &Store,
        due: &[Due],
    ) -> Result<bool, Failure> {
        let transaction = store.begin().await?;
        let batch = self.decide_due(&transaction, due).await?;
        self.carry_out(transaction, batch).await
    }

    async fn carry_out(
        &self,
        transaction: Transaction,
        batch: Option<Batch<'_>>,
    ) -> Result<bool, Failure> {
        let Some(batch) = self.noted(&transaction, batch).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let ends_at = Instant::now() + LIMIT;
        let mut done = Vec::with_capacity(batch.steps.len());
        for step in &batch.steps {
            let (message, event_id) = (step.message, &step.event_id);
            let processing =
                Processing::begin(self, self.consumer(), message, event_id, step.attempt);
            let outcome = self
                .take(&transaction, step, ends_at)
                .instrument(processing.span())
                .await?;
            done.push((processing, outcome));
        }
        positions::advance(&transaction, self.consumer(), &batch.moved).await?;
        transaction.commit().await?;
        for (processing, outcome) in done {
            processing.end(&outcome);
        }
        Ok(true)
    }

    /// Writes the inbox rows of the events to be handled. `None` where one in order was seen before, or a held one is in other hands:
    /// then it is not decided here what comes after it.
    async fn noted<'a>(
        &self,
        transaction: &Transaction,
        batch: Option<Batch<'a>>,
    ) -> Result<Option<Batch<'a>>, Failure> {
        let Some(mut batch) = batch else {
            return Ok(None);
        };
        let (mut arrived, mut due) = (Vec::new(), Vec::new());
        for step in &batch.steps {
            match &step.action {
                Action::Handle(delivered, None) => arrived.push(Handled {
                    envelope: &delivered.envelope,
                    aggregate_type: aggregate_type(&step.message.routing_key),
                }),
                Action::Handle(_, Some(one)) => due.push(*one),
                _ => {}
            }
        }
        if !held::settle_all(transaction, &due).await? {
            return Ok(None);
        }
        let mut came = inbox::first_times(transaction, self.consumer(), &arrived).await?;
        if !arrived.is_empty() {
            faults::point("seen");
        }
        for step in &mut batch.steps {
            let Action::Handle(delivered, None) = &mut step.action else {
                continue;
            };
            if let Some(now_ms) = came.remove(&delivered.envelope.id) {
                delivered.now_ms = now_ms;
                continue;
            }
            let aggregate = aggregate_type(&step.message.routing_key);
            if self.version(aggregate, &delivered.envelope)?.is_some() {
                return Ok(None);
            }
            step.action = Action::Duplicate;
        }
        Ok(Some(batch))
    }

    async fn take(
        &self,
        transaction: &Transaction,
        step: &Step<'_>,
        ends_at: Instant,
    ) -> Result<Outcome, Failure> {
        match &step.action {
            Action::Handle(delivered, due) => {
                if due.is_none() {
                    processing::note_queue_wait(step.message, delivered.now_ms);
                }
                let left = ends_at.saturating_duration_since(Instant::now());
                let limit = left.min(self.handler_time_out);
                self.call(transaction, step.message, delivered, limit)
                    .await?;
                Ok(Outcome::Handled)
            }
            Action::Duplicate => Ok(Outcome::Duplicate),
            Action::Hold {
                held,
                cause,
                due_in_ms,
            } => {
                let envelope = event::Envelope::from_message(step.message).ok();
                let entry = self.entry(&step.event_id, envelope.as_ref(), step.message);
                self.hold(transaction, &entry, *held, cause.as_deref(), *due_in_ms)
                    .await
            }
            Action::WaitAgain(due) => {
                let parked = held::park(transaction, due, Held::Waiting).await?;
                Ok(super::due::held_on(parked, Held::Waiting))
            }
        }
    }
}
