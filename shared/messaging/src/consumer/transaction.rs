//! The consumer's transactions.
//!
//! Guarantee: an effect and the inbox row of its event are committed together or not at all. Several events share a
//! transaction while all succeed; otherwise each is handled alone.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use event::CHECKPOINT_TYPE;
use futures::FutureExt as _;
use sea_orm::DbErr;
use tracing::{Instrument as _, Span};

use super::calls::calls;
use super::observe::Processing;
use super::outcome::{Failure, Outcome, StoreFailed};
use super::pipeline::Pipeline;
use super::step::{Action, Item, Plan, Step};
use crate::checkpoint;
use crate::inbox::positions;
use crate::store::Store;
use crate::subscription::{Given, HandlerError};
use crate::transaction::Transaction;

/// Why the retry worker gets an event.
pub(super) const TOO_LONG: &str = "its handler was too slow for a shared transaction";
/// More than the time limit for a statement at the server, less than that of a handler.
const LOST_SESSION: Duration = Duration::from_secs(25);
/// For all handlers in a shared transaction. A handler that hangs costs at most this, plus its own time-out.
const LIMIT: Duration = Duration::from_secs(1);

impl Pipeline {
    /// # Errors
    /// Each event must then be handled alone; no attempt counts.
    pub(super) async fn together(&self, store: &Store, group: &[Item<'_>]) -> Result<(), Failure> {
        let done = self.try_together(store, group).await.inspect_err(|error| {
            // Only an attempt alone shows which event failed.
            tracing::debug!(%error, events = group.len(), "a batch is rolled back; each of its events is taken up alone");
        })?;
        for (processing, outcome) in done {
            processing.end(&outcome);
        }
        Ok(())
    }

    /// A failure of the handler is recorded and is no error here. After `patience`, the retry worker gets the event and
    /// gives it its full time.
    ///
    /// # Errors
    /// If the store is unavailable: nothing has changed, and no attempt counts.
    pub(super) async fn alone(
        &self,
        store: &Store,
        item: Item<'_>,
        patience: Duration,
    ) -> Result<(), StoreFailed> {
        let processing = Processing::begin(self, self.consumer(), item);
        let attempt = self.attempt(store, item, patience);
        let attempt = attempt.instrument(processing.span());
        let outcome = attempt.await?;
        processing.end(&outcome);
        Ok(())
    }

    /// For an event that delays others: its handler is slow, or the database fails its transactions again and again.
    ///
    /// # Errors
    /// As for [`Self::alone`].
    pub(super) async fn leave_to_retries(
        &self,
        store: &Store,
        item: Item<'_>,
        cause: &str,
    ) -> Result<(), DbErr> {
        let processing = Processing::begin(self, self.consumer(), item);
        let setting_aside = self.set_aside(store, item, cause);
        let outcome = setting_aside.instrument(processing.span()).await?;
        processing.end(&outcome);
        Ok(())
    }

    async fn try_together<'a>(
        &'a self,
        store: &Store,
        group: &[Item<'a>],
    ) -> Result<Vec<(Processing<'a>, Outcome)>, Failure> {
        let transaction = store.begin().await?;
        match self.take_up_several(&transaction, group).await {
            Ok(done) => {
                transaction.commit().await?;
                Ok(done)
            }
            Err(failure @ (Failure::Handler(_) | Failure::Apart)) => {
                transaction.rollback().await?;
                Err(failure)
            }
            // The transaction ends with its connection.
            Err(failure) => Err(failure),
        }
    }

    async fn take_up_several<'a>(
        &'a self,
        transaction: &Transaction,
        group: &[Item<'a>],
    ) -> Result<Vec<(Processing<'a>, Outcome)>, Failure> {
        let plan = self.plan(transaction, group).await?;
        let ends_at = Instant::now() + LIMIT;
        let mut done = Vec::with_capacity(plan.steps.len());
        for call in calls(&plan.steps, &self.subscriptions) {
            let begin = |step: &Step<'a>| Processing::begin(self, self.consumer(), step.item);
            let begun: Vec<_> = call.iter().map(|step| begin(step)).collect();
            let called_at = Instant::now();
            let left = ends_at.saturating_duration_since(called_at);
            let limit = left.min(self.handler_time_out);
            if let ([step], [processing]) = (&call[..], &begun[..]) {
                let taking = self.take(transaction, step, limit);
                let outcome = match taking.instrument(processing.span()).await {
                    // Otherwise the handlers before it have used most of the time.
                    Err(Failure::TimedOut(_)) if called_at.elapsed() >= LIMIT / 2 => {
                        return Err(Failure::TooLong(step.item.event_id()));
                    }
                    taken => taken?,
                };
                if outcome == Outcome::Duplicate && step.item.leased.is_some() {
                    // Another replica has it: later events need new decisions.
                    return Err(Failure::Apart);
                }
                done.extend(begun.into_iter().map(|one| (one, outcome.clone())));
                continue;
            }
            let given = call.iter().zip(&begun);
            let given = given.filter_map(|(step, processing)| given_of(step, processing.span()));
            self.call(transaction, given.collect(), limit).await?;
            done.extend(begun.into_iter().map(|one| (one, Outcome::Handled)));
        }
        positions::advance(transaction, self.consumer(), &plan.moved).await?;
        Ok(done)
    }

    async fn attempt(
        &self,
        store: &Store,
        item: Item<'_>,
        patience: Duration,
    ) -> Result<Outcome, StoreFailed> {
        let transaction = store.begin().await?;
        let limit = self.handler_time_out.min(patience);
        let failure = match self.take_up_one(&transaction, item, limit).await {
            Ok(outcome) => match transaction.commit().await {
                Ok(()) => return Ok(outcome),
                Err(error) => Failure::from(error),
            },
            // The transaction ends with its connection.
            Err(failure @ (Failure::Store(_) | Failure::StoreOfHandler(_))) => failure,
            Err(failure @ Failure::TimedOut(_)) => {
                let _ = transaction.rollback().await;
                if limit < self.handler_time_out {
                    return Ok(self.set_aside(store, item, TOO_LONG).await?);
                }
                failure
            }
            Err(failure) => {
                // If this fails, the store has failed: no attempt counts.
                transaction.rollback().await?;
                failure
            }
        };
        self.note(store, item, failure).await
    }

    async fn take_up_one(
        &self,
        transaction: &Transaction,
        item: Item<'_>,
        limit: Duration,
    ) -> Result<Outcome, Failure> {
        let Plan { steps, moved } = self.plan(transaction, &[item]).await?;
        let mut outcome = Outcome::Duplicate;
        for step in &steps {
            outcome = self.take(transaction, step, limit).await?;
        }
        if outcome != Outcome::Duplicate {
            positions::advance(transaction, self.consumer(), &moved).await?;
        }
        Ok(outcome)
    }

    async fn take(
        &self,
        transaction: &Transaction,
        step: &Step<'_>,
        limit: Duration,
    ) -> Result<Outcome, Failure> {
        if matches!(step.action, Action::Skip(_)) && !self.skip(transaction, step.item).await? {
            return Ok(Outcome::Duplicate);
        }
        let outcome = match &step.action {
            Action::Handle(delivered) if delivered.late => Outcome::Late,
            Action::Handle(_) => Outcome::Handled,
            Action::Begin(_) => Outcome::Baseline,
            Action::Skip(_) => Outcome::skipped(),
            _ => return self.park(transaction, step).await,
        };
        let given = given_of(step, Span::current());
        self.call(transaction, given.into_iter().collect(), limit)
            .await?;
        Ok(outcome)
    }

    async fn call(
        &self,
        transaction: &Transaction,
        given: Vec<Given<'_>>,
        limit: Duration,
    ) -> Result<(), Failure> {
        let handling = self.handle(transaction, given);
        transaction.limit_answers(Some(self.longest_answer(transaction)));
        // A panic or a hang must not end the consumer.
        let outcome = tokio::time::timeout(limit, AssertUnwindSafe(handling).catch_unwind()).await;
        match outcome {
            Err(_) => {
                let cause = format!("no end within {limit:?}");
                return Err(Failure::TimedOut(HandlerError::retry(cause)));
            }
            Ok(Err(panic)) => {
                let cause = format!("panicked: {}", panic_text(&*panic));
                return Err(Failure::Handler(HandlerError::retry(cause)));
            }
            Ok(Ok(result)) => result?,
        }
        transaction.limit_answers(None);
        Ok(())
    }
}

impl Pipeline {
    /// PostgreSQL ends a statement after 20 s, which costs an attempt: it may take too long each time. No answer for longer
    /// means a lost session, which costs none. SQLite has no such limit, so the handler's ends the statement.
    fn longest_answer(&self, transaction: &Transaction) -> Duration {
        match store::sql::is_sqlite(transaction) {
            true => self.handler_time_out,
            false => LOST_SESSION,
        }
    }

    /// A checkpoint comes here if an older release held it as an unknown type, or if its lane could not follow it.
    async fn handle(
        &self,
        transaction: &Transaction,
        given: Vec<Given<'_>>,
    ) -> Result<(), HandlerError> {
        let is_checkpoint =
            |given: &Given<'_>| given.delivered.envelope.event_type == CHECKPOINT_TYPE;
        if !given.first().is_some_and(is_checkpoint) {
            return self.subscriptions.handle(transaction, given).await;
        }
        for Given {
            body, delivered, ..
        } in given
        {
            let checkpoint = checkpoint::decode(&body)?;
            let source = &delivered.envelope.source;
            self.checkpoints
                .follow(transaction, source, &checkpoint)
                .await?;
        }
        Ok(())
    }
}

fn given_of<'a>(step: &'a Step<'_>, span: Span) -> Option<Given<'a>> {
    let (Action::Handle(delivered) | Action::Begin(delivered) | Action::Skip(delivered)) =
        &step.action
    else {
        return None;
    };
    if step.item.leased.is_none() {
        super::observe::note_queue_wait(&span, step.item.message, delivered.now_ms);
    }
    Some(Given {
        aggregate_type: event::aggregate_type(&step.item.message.routing_key),
        body: step.item.message.body.clone(),
        delivered,
        span,
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or(panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
