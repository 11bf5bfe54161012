//! Takes up held events when their time has come: retries, and events whose predecessor is done.
//!
//! Asleep until the earliest is due; woken when something is held or released. A few are taken up side by side, so that one that
//! takes its time does not keep the others. Each is in one worker's hands under a lease, and has a transaction of its own.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::attempt::attempt;
use super::handling::Handling;
use super::processing::Processing;
use crate::due::Due as DueTimes;
use crate::inbox::{self, Due, held};
use crate::reconnect::Reconnect;
use crate::store::Store;

/// Beyond the time that a handler may take: for what is done before and after it.
const MARGIN: Duration = Duration::from_secs(5);
/// Before the next look, where another replica is just taking up what is due: short, and still no spinning.
const PAUSE: Duration = Duration::from_millis(20);
/// Where the database has failed an attempt; give or take a half.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub(super) struct Deferred {
    store: Store,
    handling: Arc<Handling>,
    /// How many are taken up side by side.
    most: usize,
}

/// What is in this process's hands.
#[derive(Default)]
struct Hands {
    running: JoinSet<Option<Due>>,
    /// The database was away; they are tried again, as the same attempt.
    again: Vec<Due>,
    /// There may be more that is due than there was room for.
    more: bool,
}

impl Deferred {
    pub(super) fn new(store: Store, handling: Arc<Handling>, most: usize) -> Self {
        Self {
            store,
            handling,
            most: most.max(1),
        }
    }

    /// Runs until `stop`, then finishes what it has begun.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        let question = held::due_in_ms(self.handling.consumer());
        let mut due = self.store.due(inbox::SIGNAL, question);
        let (mut hands, mut reconnect) = (Hands::default(), Reconnect::default());
        while !stop.is_cancelled() {
            match self.take_up(&due, &mut hands).await {
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

    /// Takes up what is due, as far as there is room, and tells how long nothing more will be. Where nothing is, that costs one
    /// query.
    async fn take_up(&self, due: &DueTimes, hands: &mut Hands) -> Result<Option<Duration>, DbErr> {
        let lease = self.handling.handler_time_out.saturating_add(MARGIN);
        while let Some(again) = hands.again.last() {
            // Before anything else is taken up: it may be due again by now, and is not to be counted twice.
            let ours = held::keep(&self.store, again, lease).await?;
            if let Some(again) = hands.again.pop().filter(|_| ours) {
                hands.running.spawn(self.clone().attempt(again));
            }
        }
        loop {
            let room = self.most.saturating_sub(hands.running.len());
            if room == 0 {
                return Ok(None);
            }
            if !hands.more {
                let known = due.ask().await?;
                if known != Some(Duration::ZERO) {
                    return Ok(known);
                }
            }
            let consumer = self.handling.consumer();
            let taken = held::take_up(&self.store, consumer, room, lease).await?;
            hands.more = taken.len() == room;
            let nothing = taken.is_empty();
            for due in taken {
                hands.running.spawn(self.clone().attempt(due));
            }
            if nothing {
                return Ok(Some(PAUSE));
            }
        }
    }

    /// Answers the event where the database was away.
    async fn attempt(self, due: Due) -> Option<Due> {
        let (handling, queue) = (&self.handling, self.handling.consumer());
        let message = &due.message;
        let processing = Processing::begin(handling, queue, message, &due.event_id, due.attempt);
        let attempting = async {
            let transaction = self.store.begin().await?;
            attempt(handling, &self.store, transaction, message, Some(&due)).await
        };
        match attempting.instrument(processing.span()).await {
            Ok(outcome) => processing.end(&outcome),
            Err(error) => {
                tracing::warn!(%error, event.id = due.event_id, "a deferred event waits for the database");
                // The same may fail again at once, as where transactions get into each other's way.
                tokio::time::sleep(AFTER_FAILURE.mul_f64(0.5 + fastrand::f64())).await;
                return Some(due);
            }
        }
        None
    }
}

impl Hands {
    fn ended(&mut self, ended: Result<Option<Due>, JoinError>) {
        match ended {
            Ok(again) => self.again.extend(again),
            Err(error) => {
                tracing::error!(%error, "an attempt broke; its event comes again once its lease has ended");
            }
        }
    }
}
