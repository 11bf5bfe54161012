//! Producers that name the interval of their checkpoints in their events.
//!
//! Guarantee: a queue that was never bound for checkpoints does not look complete.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use event::Message;
use sea_orm::DbErr;
use store::{Rounds, sql};
use tokio_util::sync::CancellationToken;

use super::receiving::{LONGEST_INTERVAL_S, SILENT};
use crate::store::Store;

/// A limit, because a message may name any producer.
const MOST: usize = 100;
const EVERY: Duration = Duration::from_secs(5);

/// By producer and exchange.
#[derive(Default)]
pub(crate) struct Announced {
    intervals: Mutex<BTreeMap<(String, String), Interval>>,
}

#[derive(Clone, Copy)]
struct Interval {
    seconds: i64,
    written: bool,
}

const EXPECT: &str = "/* checkpoint */
INSERT INTO angarium_checkpoint_stream
    (consumer, source, exchange, number, stamp, patterns, retention_s, received_at, silent_at)
VALUES ($1, $2, $3, 0, 0, '{}', 0, {time}, {time + $4})
ON CONFLICT (consumer, source, exchange) DO NOTHING";

impl Announced {
    pub(crate) fn note(&self, message: &Message) {
        let (Some(source), Some(seconds)) = (&message.app_id, message.checkpoint_interval_s())
        else {
            return;
        };
        let mut intervals = self.lock();
        // No copy, because this runs for each event.
        let is_known = |((known, exchange), _): (&(String, String), &Interval)| {
            known == source && *exchange == message.exchange
        };
        if intervals.len() >= MOST || intervals.iter().any(is_known) {
            return;
        }
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let interval = Interval {
            seconds: seconds.clamp(1, LONGEST_INTERVAL_S),
            written: false,
        };
        intervals.insert((source.clone(), message.exchange.clone()), interval);
    }

    pub(crate) async fn keep(&self, store: &Store, consumer: &str, stop: &CancellationToken) {
        let mut rounds = Rounds::after_a_pause(EVERY);
        while rounds.next(stop).await {
            let done = self.write(store, consumer).await;
            rounds.report("producers were not noted", done);
        }
    }

    pub(crate) async fn write(&self, store: &Store, consumer: &str) -> Result<(), DbErr> {
        let new: Vec<_> = {
            let intervals = self.lock();
            let new = intervals.iter().filter(|(_, interval)| !interval.written);
            new.map(|(key, interval)| (key.clone(), interval.seconds))
                .collect()
        };
        for ((source, exchange), seconds) in new {
            let values = [
                consumer.into(),
                source.as_str().into(),
                exchange.as_str().into(),
                (seconds * SILENT * 1000).into(),
            ];
            let _turn = store.turn_to_write().await?;
            sql::execute(store.connection(), EXPECT, values).await?;
            if let Some(interval) = self.lock().get_mut(&(source, exchange)) {
                interval.written = true;
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Interval>> {
        self.intervals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
