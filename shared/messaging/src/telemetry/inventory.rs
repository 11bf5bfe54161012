//! The number of waiting events in a service's outbox and inbox, counted only when metrics are collected.
//!
//! A collection is synchronous and a database is not, so the gauges ask a task of the engine and wait briefly. A longer
//! count continues, and the gauges show the previous one. An unavailable database costs a collection only its numbers.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::metrics::AsyncInstrument;
use opentelemetry::{KeyValue, global};
use sea_orm::DbErr;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::SERVICE;
use super::incomplete::INCOMPLETE;
use crate::backlog::watch::OLDEST;
use crate::checkpoint::{self, Incomplete};
use crate::consumer::Producers;
use crate::store::Store;
use store::sql;

/// How long a collection waits for the numbers.
const PATIENCE: Duration = Duration::from_secs(2);
/// The gauges of one collection share a count.
const FRESH: Duration = Duration::from_millis(500);
/// A count is reused for this many times its duration.
const REST: u32 = 20;
/// After this long without an answer, the last one is outdated.
const OLDEST_ANSWER: Duration = Duration::from_secs(60);

const STATES: [&str; 5] = ["waiting", "unknown", "deferred", "dead", "skipped"];

/// The numbers of waiting events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    pending: u64,
    unroutable: u64,
    oldest_age_ms: u64,
    held: [u64; STATES.len()],
    incomplete: Incomplete,
}

/// The gauges of one service, and the task that counts for them.
pub(crate) struct Inventory {
    questions: mpsc::Receiver<SyncSender<Option<Counted>>>,
}

impl Inventory {
    /// Registers the gauges of `service`; two of them are `connected` and whether the consumer can use its database.
    pub(crate) fn new(
        service: &'static str,
        connected: watch::Receiver<bool>,
        consuming: watch::Receiver<bool>,
        producers: Arc<Producers>,
    ) -> Self {
        let (ask, questions) = mpsc::channel(1);
        let counter = Arc::new(Counter {
            ask,
            last: Mutex::default(),
        });
        let meter = global::meter("messaging");
        let of_service = KeyValue::new(SERVICE, service);
        let gauge = |observe: fn(&Counted, &KeyValue, &dyn AsyncInstrument<u64>)| {
            let (counter, of_service) = (Arc::clone(&counter), of_service.clone());
            move |gauge: &dyn AsyncInstrument<u64>| {
                if let Some(counted) = counter.count() {
                    observe(&counted, &of_service, gauge);
                }
            }
        };
        meter
            .u64_observable_gauge("angarium.outbox.pending")
            .with_unit("{event}")
            .with_description("Events that are committed and not yet published")
            .with_callback(gauge(|counted, service, gauge| {
                gauge.observe(counted.pending, std::slice::from_ref(service));
            }))
            .build();
        meter
            .u64_observable_gauge("angarium.outbox.unroutable")
            .with_unit("{event}")
            .with_description("Pending events that no queue takes, and those that wait behind them")
            .with_callback(gauge(|counted, service, gauge| {
                gauge.observe(counted.unroutable, std::slice::from_ref(service));
            }))
            .build();
        meter
            .u64_observable_gauge("angarium.inbox.held")
            .with_unit("{event}")
            .with_description("Events that a consumer keeps because they cannot be handled now")
            .with_callback(gauge(|counted, service, gauge| {
                for (state, count) in STATES.into_iter().zip(counted.held) {
                    let state = KeyValue::new("angarium.inbox.state", state);
                    gauge.observe(count, &[service.clone(), state]);
                }
            }))
            .build();
        for (name, unit, description, value) in INCOMPLETE {
            let (counter, of_service) = (Arc::clone(&counter), of_service.clone());
            meter
                .u64_observable_gauge(name)
                .with_unit(unit)
                .with_description(description)
                .with_callback(move |gauge| {
                    if let Some(counted) = counter.count() {
                        let value = value(&counted.incomplete);
                        gauge.observe(value, std::slice::from_ref(&of_service));
                    }
                })
                .build();
        }
        meter
            .f64_observable_gauge("angarium.outbox.oldest_age")
            .with_unit("s")
            .with_description("Age of the oldest event that counts against OUTBOX_BUDGET")
            .with_callback({
                let (counter, of_service) = (Arc::clone(&counter), of_service.clone());
                move |gauge| {
                    if let Some(counted) = counter.count() {
                        let age = Duration::from_millis(counted.oldest_age_ms);
                        gauge.observe(age.as_secs_f64(), std::slice::from_ref(&of_service));
                    }
                }
            })
            .build();
        meter
            .u64_observable_gauge("angarium.broker.connected")
            .with_unit("{connection}")
            .with_description("1 if the service has all its connections to the broker, else 0")
            .with_callback({
                let of_service = of_service.clone();
                move |gauge| {
                    let connected = u64::from(*connected.borrow());
                    gauge.observe(connected, std::slice::from_ref(&of_service));
                }
            })
            .build();
        meter
            .u64_observable_gauge("angarium.consumer.waiting")
            .with_unit("{consumer}")
            .with_description("1 while the consumer waits for its database, else 0")
            .with_callback({
                let of_service = of_service.clone();
                move |gauge| {
                    let waiting = u64::from(!*consuming.borrow());
                    gauge.observe(waiting, std::slice::from_ref(&of_service));
                }
            })
            .build();
        meter
            .u64_observable_gauge("angarium.inbox.short_retention")
            .with_unit("{producer}")
            .with_description(
                "Producers that can publish an event again after the inbox has forgotten it",
            )
            .with_callback(move |gauge| {
                gauge.observe(producers.too_long(), std::slice::from_ref(&of_service));
            })
            .build();
        Self { questions }
    }

    /// Counts in `store` when a collection asks, until `stop`.
    pub(crate) async fn run(mut self, store: &Store, stop: &CancellationToken) {
        let answering = async {
            while let Some(answer) = self.questions.recv().await {
                let counted = count(store).await;
                if let Err(error) = &counted {
                    tracing::debug!(%error, "cannot count waiting events");
                }
                // A collection that has stopped waiting reads it the next time.
                let _ = answer.try_send(counted.ok());
            }
        };
        stop.run_until_cancelled(answering).await;
    }
}

/// The collection's side.
struct Counter {
    ask: mpsc::Sender<SyncSender<Option<Counted>>>,
    last: Mutex<Last>,
}

/// The last answer, and the one in progress.
#[derive(Default)]
struct Last {
    counted: Option<Counted>,
    /// When it was requested, and how long it took.
    asked: Option<(Instant, Duration)>,
    coming: Option<(Instant, Receiver<Option<Counted>>)>,
}

impl Counter {
    /// The numbers, at most [`REST`] times as old as counting takes: with a large backlog a collection gets the last
    /// count while the next one runs. `None` if the database is unavailable, or the service has ended.
    fn count(&self) -> Option<Counted> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |(at, took): (Instant, Duration)| at.elapsed() < FRESH.max(took * REST);
        if last.coming.is_none() {
            if last.asked.is_some_and(is_fresh) {
                return last.counted;
            }
            let (answer, answered) = sync_channel(1);
            self.ask.try_send(answer).ok()?;
            last.coming = Some((Instant::now(), answered));
        }
        last.wait();
        last.counted
    }
}

impl Last {
    /// Waits briefly for the answer in progress.
    fn wait(&mut self) {
        let Some((asked, answered)) = self.coming.take() else {
            return;
        };
        match answered.recv_timeout(PATIENCE) {
            Ok(counted) => {
                self.counted = counted;
                self.asked = Some((asked, asked.elapsed()));
            }
            Err(RecvTimeoutError::Timeout) if asked.elapsed() < OLDEST_ANSWER => {
                self.coming = Some((asked, answered));
            }
            // The service has ended, or the database does not answer.
            Err(_) => self.counted = None,
        }
    }
}

async fn count(store: &Store) -> Result<Counted, DbErr> {
    let db = store.connection();
    let outbox = format!(
        "SELECT (SELECT count(*) FROM angarium_outbox WHERE held_until IS NULL AND set_aside_at IS NULL) AS ready,
                (SELECT count(*) FROM angarium_outbox WHERE set_aside_at IS NOT NULL) AS aside,
                (SELECT count(*) FROM angarium_outbox
                 WHERE set_aside_at IS NOT NULL AND unroutable_since IS NOT NULL) AS unroutable,
                coalesce({{now}} - {{ms ({OLDEST})}}, 0) AS age_ms"
    );
    let inbox = "SELECT CASE WHEN unknown_until IS NULL THEN state ELSE 'unknown' END AS state, count(*) AS held FROM angarium_inbox
                 WHERE state <> 'done' AND state IN ('waiting', 'deferred', 'dead', 'skipped') GROUP BY 1";
    let mut counted = Counted {
        incomplete: checkpoint::count(db).await?,
        ..Counted::default()
    };
    if let Some(row) = sql::query_one(db, &outbox, []).await? {
        counted.pending = unsigned(row.try_get("", "ready")?) + unsigned(row.try_get("", "aside")?);
        counted.unroutable = unsigned(row.try_get("", "unroutable")?);
        counted.oldest_age_ms = unsigned(row.try_get("", "age_ms")?);
    }
    for row in sql::query_all(db, inbox, []).await? {
        let state: String = row.try_get("", "state")?;
        if let Some(index) = STATES.iter().position(|known| **known == state) {
            counted.held[index] = unsigned(row.try_get("", "held")?);
        }
    }
    Ok(counted)
}

/// A replica's clock may be slightly behind.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
