//! Handles held events when they are due: retries, and events after their predecessor is done.
//!
//! It sleeps until the earliest is due, and wakes when an event is held or released. Due events share a transaction; if
//! that fails, a few run in parallel, each in its own transaction, so that a slow one does not block the others. A
//! worker has an event under a lease. An event with an unfinished last attempt runs alone: if it kills the process
//! again, it affects no other event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::DbErr;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::lane::{next_most, turn};
use super::pipeline::{Pipeline, TOGETHER};
use super::step::Item;
use crate::due::Due as DueTimes;
use crate::inbox::{self, Due, held};
use crate::reconnect::Reconnect;
use crate::store::Store;

/// Time beyond the handler's limit, for the work before and after it.
const MARGIN: Duration = Duration::from_secs(5);
/// The pause before the next poll while another replica takes the due events: short, but no busy loop.
const PAUSE: Duration = Duration::from_millis(20);
/// The interval of polls for events of types that became known, while others keep this worker busy.
const ADOPTING: Duration = Duration::from_secs(5);
/// The pause after the database has failed an attempt, ± 50 %.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub(super) struct RetryWorker {
    store: Store,
    pipeline: Arc<Pipeline>,
    /// The number of concurrent transactions.
    most: usize,
}

/// The results of a transaction.
struct Attempted {
    /// To be retried, each alone.
    again: Vec<Due>,
    /// Whether they succeeded in one transaction, and its duration; `None` for a single one.
    together: Option<(bool, Duration)>,
}

/// The events that this process has taken.
struct Hands {
    running: JoinSet<Attempted>,
    /// To be retried alone, as the same attempt: they could not share a transaction, or the database was unavailable.
    again: Vec<Due>,
    /// How many may share the next transaction.
    together: usize,
    /// More events may be due than there was room for.
    more: bool,
    /// The running event may kill the process, and runs alone.
    suspect: bool,
    adopts_at: Instant,
}

impl RetryWorker {
    pub(super) fn new(store: Store, pipeline: Arc<Pipeline>, most: usize) -> Self {
        Self {
            store,
            pipeline,
            most: most.max(1),
        }
    }

    /// Corrects times of held events that are too far ahead, until `stop`.
    pub(super) async fn keep_bounds(&self, stop: &CancellationToken) {
        let (lease, pipeline) = (self.lease(), &self.pipeline);
        let (consumer, unknown_wait) = (pipeline.consumer(), pipeline.unknown_wait);
        let waits = pipeline.baseline_wait.max(unknown_wait);
        let longest = lease.max(pipeline.retry.longest_delay).max(waits);
        let due = held::bound(consumer, longest, lease);
        let unknown = held::bound_of_unknown(consumer, unknown_wait);
        let keeping = async {
            tokio::join!(
                due.keep(self.store.clone(), stop.clone()),
                unknown.keep(self.store.clone(), stop.clone()),
            )
        };
        store::end_soon(stop, keeping).await;
    }

    fn lease(&self) -> Duration {
        self.pipeline.handler_time_out.saturating_add(MARGIN)
    }

    /// Runs until `stop`, then finishes the work in progress.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        let known = self.pipeline.subscriptions.known_types();
        let question = held::due_in_ms(self.pipeline.consumer(), &known);
        let mut due = self.store.due(inbox::SIGNAL, question);
        let (mut hands, mut reconnect) = (Hands::default(), Reconnect::to(self.store.waits()));
        while !stop.is_cancelled() {
            let taken = store::end_soon(stop, self.take_up(&due, &mut hands)).await;
            // What it has taken up is due again once its lease has expired.
            let Some(taken) = taken else { break };
            match taken {
                Ok(known) => {
                    reconnect.reset();
                    tokio::select! {
                        _ = due.sleep(known) => {}
                        Some(ended) = hands.running.join_next() => hands.ended(ended),
                        () = stop.cancelled() => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "deferred events wait for the database");
                    reconnect.pause(stop).await;
                }
            }
        }
        while hands.running.join_next().await.is_some() {}
    }

    /// Takes due events, as far as there is room, and returns the time until the next one. If nothing is due, this
    /// costs one query.
    async fn take_up(&self, due: &DueTimes, hands: &mut Hands) -> Result<Option<Duration>, DbErr> {
        let (store, consumer) = (&self.store, self.pipeline.consumer());
        let lease = self.lease();
        while let Some(again) = hands.again.last()
            && hands.running.len() < self.most
        {
            // Before any other event is taken: it may be due again by now, and must not count twice.
            let kept = held::keep(store, again.clone(), lease).await?;
            hands.again.pop();
            hands.take(self, kept.into_iter().collect());
        }
        loop {
            let room = self.most.saturating_sub(hands.running.len());
            if room == 0 || hands.suspect {
                return Ok(None);
            }
            if !hands.more {
                let known = due.ask().await?;
                if known != Some(Duration::ZERO) {
                    return Ok(known);
                }
            }
            if held::has_suspect(store, consumer).await? {
                if !hands.running.is_empty() {
                    // That event must end first.
                    return Ok(None);
                }
                let suspect = held::take_up(store, consumer, true, 1, lease).await?;
                hands.suspect = !suspect.is_empty();
                hands.take(self, suspect);
                return Ok((!hands.suspect).then_some(PAUSE));
            }
            let limit = hands.together * room;
            let mut taken = held::take_up(store, consumer, false, limit, lease).await?;
            hands.more = taken.len() == limit;
            taken.sort_by_cached_key(|due| turn(&due.message));
            if taken.is_empty() || hands.adopts_at <= Instant::now() {
                hands.adopts_at = Instant::now() + ADOPTING;
                let adopted =
                    held::adopt(store, consumer, &self.pipeline.subscriptions.known_types())
                        .await?;
                hands.more |= adopted > 0;
            }
            if taken.is_empty() && !hands.more {
                return Ok(Some(PAUSE));
            }
            while !taken.is_empty() {
                let rest = taken.split_off(taken.len().min(hands.together));
                hands.take(self, std::mem::replace(&mut taken, rest));
            }
        }
    }

    /// Returns the events to be retried alone.
    async fn attempt(self, taken: Vec<Due>) -> Attempted {
        if let [due] = &taken[..] {
            let failed = !self.attempt_alone(due).await;
            return Attempted {
                again: if failed { taken } else { Vec::new() },
                together: None,
            };
        }
        let began = Instant::now();
        let items: Vec<_> = taken.iter().map(Item::held).collect();
        let went_well = self.pipeline.together(&self.store, &items).await.is_ok();
        Attempted {
            again: if went_well { Vec::new() } else { taken },
            together: Some((went_well, began.elapsed())),
        }
    }

    /// `false` if the database was unavailable.
    async fn attempt_alone(&self, due: &Due) -> bool {
        let Err(error) = self
            .pipeline
            .alone(&self.store, Item::held(due), Duration::MAX)
            .await
        else {
            return true;
        };
        tracing::warn!(%error, event.id = due.event_id, "a held event waits for the database");
        // The same failure may repeat immediately, for example a conflict of transactions.
        tokio::time::sleep(AFTER_FAILURE.mul_f64(0.5 + fastrand::f64())).await;
        false
    }
}

impl Default for Hands {
    fn default() -> Self {
        Self {
            running: JoinSet::new(),
            again: Vec::new(),
            together: TOGETHER,
            more: false,
            suspect: false,
            adopts_at: Instant::now() + ADOPTING,
        }
    }
}

impl Hands {
    fn take(&mut self, deferred: &RetryWorker, taken: Vec<Due>) {
        if !taken.is_empty() {
            self.running.spawn(deferred.clone().attempt(taken));
        }
    }

    fn ended(&mut self, ended: Result<Attempted, JoinError>) {
        self.suspect &= !self.running.is_empty();
        match ended {
            Ok(attempted) => {
                let is_done = attempted.again.is_empty();
                self.again.extend(attempted.again);
                if let Some((went_well, took)) = attempted.together {
                    self.together = next_most(self.together, went_well, took);
                } else if is_done && self.together == 1 {
                    self.together = 2;
                }
            }
            Err(error) => {
                tracing::error!(%error, "an attempt panicked; its event is retried after its lease");
            }
        }
    }
}
