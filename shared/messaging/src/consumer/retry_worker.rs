//! Handles held events when they are due: retries, and events after their predecessor.
//!
//! Due events share a transaction; if that fails, a few run in parallel, each alone, so that a slow one does not block
//! the others. An event with an unfinished last attempt runs alone: if it kills the process again, it affects no other
//! event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::DbErr;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::lane::{next_most, turn};
use super::pipeline::{Pipeline, TOGETHER};
use super::step::Item;
use crate::inbox::{self, RetryLease, held};
use crate::store::Store;
use crate::wakeup::{Wakeup, Work};

const MARGIN: Duration = Duration::from_secs(5);
/// While another replica takes the due events.
const PAUSE: Duration = Duration::from_millis(20);
/// Between two polls for events of types that became known, while others keep this worker busy.
const ADOPTING: Duration = Duration::from_secs(5);
/// Until an event that the database has failed is due again. Meanwhile the others are, also if it is a suspect.
const FOR_OTHERS: Duration = Duration::from_millis(500);
/// After the database has failed an attempt, ± 50 %.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub(super) struct RetryWorker {
    store: Store,
    pipeline: Arc<Pipeline>,
    most: usize,
}

struct Attempted {
    /// They could not share a transaction: each is attempted alone, as the same attempt.
    apart: Vec<RetryLease>,
    /// The database failed the attempt.
    failed: Option<RetryLease>,
    /// `None` for a single event.
    together: Option<(bool, Duration)>,
}

struct Hands {
    worker: RetryWorker,
    apart: Vec<RetryLease>,
    /// Given back as soon as the database answers, so that events which it fails again and again keep no place of others.
    failed: Vec<RetryLease>,
    together: usize,
    /// There was no room for all due events.
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

    pub(super) async fn keep_bounds(&self, stop: &CancellationToken) {
        let (lease, pipeline) = (self.lease(), &self.pipeline);
        let (consumer, unknown_wait) = (pipeline.consumer(), pipeline.unknown_wait);
        let waits = pipeline.baseline_wait.max(unknown_wait);
        let longest = lease.max(pipeline.retry.longest_delay).max(waits);
        let retries = held::bound(consumer, longest, lease);
        let unknown = held::bound_of_unknown(consumer, unknown_wait);
        let keeping = async {
            tokio::join!(
                retries.keep(self.store.clone(), stop.clone()),
                unknown.keep(self.store.clone(), stop.clone()),
            )
        };
        store::end_soon(stop, keeping).await;
    }

    fn lease(&self) -> Duration {
        self.pipeline.handler_time_out.saturating_add(MARGIN)
    }

    pub(super) async fn run(&self, stop: &CancellationToken) {
        let known = self.pipeline.subscriptions.known_types();
        let question = held::due_in_ms(self.pipeline.consumer(), &known);
        let wakeup = self.store.wakeup(inbox::SIGNAL, question);
        let hands = Hands::new(self.clone());
        wakeup.run_reported(self.store.waits(), hands, stop).await;
    }

    async fn attempt(self, taken: Vec<RetryLease>) -> Attempted {
        if let [leased] = &taken[..] {
            let went_well = self.attempt_alone(leased).await;
            return Attempted {
                apart: Vec::new(),
                failed: (!went_well).then(|| leased.clone()),
                together: None,
            };
        }
        let began = Instant::now();
        let items: Vec<_> = taken.iter().map(Item::held).collect();
        let went_well = self.pipeline.together(&self.store, &items).await.is_ok();
        Attempted {
            apart: if went_well { Vec::new() } else { taken },
            failed: None,
            together: Some((went_well, began.elapsed())),
        }
    }

    async fn attempt_alone(&self, leased: &RetryLease) -> bool {
        let Err(failed) = self
            .pipeline
            .alone(&self.store, Item::held(leased), Duration::MAX)
            .await
        else {
            return true;
        };
        let error = failed.error;
        tracing::warn!(%error, event.id = leased.event_id, "a held event waits for the database");
        // The same failure, such as a conflict of transactions, may repeat immediately.
        tokio::time::sleep(AFTER_FAILURE.mul_f64(0.5 + fastrand::f64())).await;
        false
    }
}

impl Hands {
    fn new(worker: RetryWorker) -> Self {
        Self {
            worker,
            apart: Vec::new(),
            failed: Vec::new(),
            together: TOGETHER,
            more: false,
            suspect: false,
            adopts_at: Instant::now() + ADOPTING,
        }
    }

    fn take(&self, tasks: &mut JoinSet<Attempted>, taken: Vec<RetryLease>) {
        if !taken.is_empty() {
            tasks.spawn(self.worker.clone().attempt(taken));
        }
    }
}

impl Work for Hands {
    type Done = Attempted;
    type Error = DbErr;

    async fn take_up(
        &mut self,
        wakeup: &Wakeup,
        tasks: &mut JoinSet<Attempted>,
    ) -> Result<Option<Duration>, DbErr> {
        let (store, pipeline) = (self.worker.store.clone(), Arc::clone(&self.worker.pipeline));
        let (consumer, lease) = (pipeline.consumer(), self.worker.lease());
        held::give_back(&store, &self.failed, FOR_OTHERS).await?;
        self.failed.clear();
        while let Some(apart) = self.apart.last()
            && tasks.len() < self.worker.most
        {
            // First, because it may be due again by now, and must not count twice.
            let kept = held::keep(&store, apart.clone(), lease).await?;
            self.apart.pop();
            self.take(tasks, kept.into_iter().collect());
        }
        loop {
            let room = self.worker.most.saturating_sub(tasks.len());
            if room == 0 || self.suspect {
                return Ok(None);
            }
            if !self.more {
                let known = wakeup.ask().await?;
                if known != Some(Duration::ZERO) {
                    return Ok(known);
                }
            }
            if held::has_suspect(&store, consumer).await? {
                if !tasks.is_empty() {
                    return Ok(None);
                }
                let suspect = held::take_up(&store, consumer, true, 1, lease).await?;
                self.suspect = !suspect.is_empty();
                self.take(tasks, suspect);
                return Ok((!self.suspect).then_some(PAUSE));
            }
            let limit = self.together * room;
            let mut taken = held::take_up(&store, consumer, false, limit, lease).await?;
            self.more = taken.len() == limit;
            taken.sort_by_cached_key(|leased| turn(&leased.message));
            if taken.is_empty() || self.adopts_at <= Instant::now() {
                self.adopts_at = Instant::now() + ADOPTING;
                let known = pipeline.subscriptions.known_types();
                self.more |= held::adopt(&store, consumer, &known).await? > 0;
            }
            if taken.is_empty() && !self.more {
                return Ok(Some(PAUSE));
            }
            while !taken.is_empty() {
                let rest = taken.split_off(taken.len().min(self.together));
                self.take(tasks, std::mem::replace(&mut taken, rest));
            }
        }
    }

    fn ended(&mut self, ended: Result<Attempted, JoinError>) -> bool {
        // A suspect runs alone, so it is the one that has ended.
        self.suspect = false;
        match ended {
            Ok(attempted) => {
                let is_done = attempted.failed.is_none();
                self.apart.extend(attempted.apart);
                self.failed.extend(attempted.failed);
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
        true
    }

    fn failed(&mut self, error: DbErr) {
        tracing::warn!(%error, "deferred events wait for the database");
    }

    /// Otherwise the next process would take these events for ones that killed this process.
    async fn stopped(&mut self) {
        self.failed.append(&mut self.apart);
        if let Err(error) = held::give_back(&self.worker.store, &self.failed, Duration::ZERO).await
        {
            tracing::debug!(%error, "held events wait for the end of their leases");
        }
    }
}
