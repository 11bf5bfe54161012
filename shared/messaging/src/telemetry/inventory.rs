//! How much waits in a service's outbox and inbox, counted when somebody collects metrics and at no other time.
//!
//! A collection is synchronous and a database is not, so the gauges ask a task of the engine and wait for its answer, for a
//! moment: a database that is away costs a collection its numbers and nothing else.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::metrics::AsyncInstrument;
use opentelemetry::{KeyValue, global};
use sea_orm::DbErr;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::SERVICE;
use crate::backlog::OLDEST;
use crate::store::Store;
use store::sql;

/// So long a collection waits for the numbers.
const PATIENCE: Duration = Duration::from_secs(2);
/// Two gauges of one collection share the count.
const FRESH: Duration = Duration::from_millis(500);

const STATES: [&str; 4] = ["waiting", "deferred", "dead", "skipped"];

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    pending: u64,
    unroutable: u64,
    oldest_age_ms: u64,
    held: [u64; STATES.len()],
}

/// The gauges of one service, and the task that counts for them.
pub(crate) struct Inventory {
    questions: mpsc::Receiver<SyncSender<Counted>>,
}

impl Inventory {
    /// Registers the gauges of `service`; whether it is `connected` to the broker is one of them.
    pub(crate) fn new(service: &'static str, connected: watch::Receiver<bool>) -> Self {
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
            .with_description("1 where the service has all its connections to the broker, else 0")
            .with_callback(move |gauge| {
                let connected = u64::from(*connected.borrow());
                gauge.observe(connected, std::slice::from_ref(&of_service));
            })
            .build();
        Self { questions }
    }

    /// Counts in `store` whenever a collection asks, until `stop`.
    pub(crate) async fn run(mut self, store: &Store, stop: &CancellationToken) {
        let answering = async {
            while let Some(answer) = self.questions.recv().await {
                match tokio::time::timeout(PATIENCE, count(store)).await {
                    // A collection that has given up meanwhile needs no answer.
                    Ok(Ok(counted)) => drop(answer.try_send(counted)),
                    Ok(Err(error)) => tracing::debug!(%error, "what waits cannot be counted"),
                    Err(_) => tracing::debug!("what waits cannot be counted in time"),
                }
            }
        };
        stop.run_until_cancelled(answering).await;
    }
}

/// A collection's side.
struct Counter {
    ask: mpsc::Sender<SyncSender<Counted>>,
    /// When the last answer came, or did not.
    last: Mutex<Option<(Instant, Option<Counted>)>>,
}

impl Counter {
    /// `None` where nobody counts (the service has ended) or the answer does not come in time.
    fn count(&self) -> Option<Counted> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, counted)) = *last
            && at.elapsed() < FRESH
        {
            return counted;
        }
        let (answer, answered) = sync_channel(1);
        self.ask.try_send(answer).ok()?;
        let counted = answered.recv_timeout(PATIENCE).ok();
        *last = Some((Instant::now(), counted));
        counted
    }
}

async fn count(store: &Store) -> Result<Counted, DbErr> {
    let db = store.connection();
    let outbox = format!(
        "SELECT (SELECT count(*) FROM outbox WHERE published_at_ms IS NULL AND held_until_ms IS NULL) AS pending,
                (SELECT count(*) FROM outbox WHERE published_at_ms IS NULL AND held_until_ms IS NULL
                 AND set_aside_at_ms IS NOT NULL AND unroutable_since_ms IS NOT NULL) AS unroutable,
                coalesce({{now}} - ({OLDEST}), 0) AS age_ms"
    );
    let inbox = "SELECT state, count(*) AS held FROM inbox
                 WHERE state <> 'done' AND state IN ('waiting', 'deferred', 'dead', 'skipped') GROUP BY state";
    let mut counted = Counted::default();
    if let Some(row) = sql::query_one(db, &outbox, []).await? {
        counted.pending = unsigned(row.try_get("", "pending")?);
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

/// A replica's clock may be behind by a little.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
