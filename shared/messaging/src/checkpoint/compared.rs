//! Compares listed events again with the inbox that did not have them: after the time in which they may arrive, then
//! periodically.
//!
//! Guarantee: a missing event is reported until the first comparison after it has arrived. Each comparison reads one
//! batch of rows by an index.

use std::time::Duration;

use sea_orm::DbErr;
use store::sql;
use tokio_util::sync::CancellationToken;

use super::receiving::SIGNAL;
use crate::bounds::{Bound, TimeForm};
use crate::reconnect::Reconnect;
use crate::retry::millis;
use crate::store::Store;

/// Few enough that PostgreSQL looks up each row by the index.
const BATCH: i64 = 200;
const PAUSE: Duration = Duration::from_millis(250);

pub(crate) struct Comparing {
    pub(crate) consumer: &'static str,
    /// As in [`Receiving`](super::Receiving); also the interval of later comparisons.
    pub(crate) missing_after: Duration,
}

pub(super) fn due_in_ms(consumer: &str) -> String {
    format!(
        "SELECT {{ms min(due_at)}} - {{now}} FROM angarium_missing WHERE consumer = {}",
        sql::text(consumer)
    )
}

pub(super) const ARRIVED: &str = "/* checkpoint */
DELETE FROM angarium_missing WHERE (consumer, event_id) IN (
    SELECT consumer, event_id FROM angarium_missing WHERE consumer = $1 AND due_at <= {time}
    ORDER BY due_at LIMIT $2 {skip locked})
  AND EXISTS (SELECT 1 FROM angarium_inbox AS seen
              WHERE seen.consumer = angarium_missing.consumer AND seen.event_id = angarium_missing.event_id)";

pub(super) const MISSING: &str = "/* checkpoint */
UPDATE angarium_missing
SET missing_since = coalesce(missing_since, {time}), due_at = {time + $3}
WHERE (consumer, event_id) IN (
    SELECT consumer, event_id FROM angarium_missing WHERE consumer = $1 AND due_at <= {time}
    ORDER BY due_at LIMIT $2 {skip locked})
  AND NOT EXISTS (SELECT 1 FROM angarium_inbox AS seen
                  WHERE seen.consumer = angarium_missing.consumer AND seen.event_id = angarium_missing.event_id)
RETURNING missing_since = {time} AS is_new, source, event_type";

impl Comparing {
    pub(crate) async fn run(&self, store: &Store, stop: &CancellationToken) {
        let bound = self.bound().keep(store.clone(), stop.clone());
        tokio::join!(bound, self.compare(store, stop));
    }

    fn bound(&self) -> Bound {
        Bound {
            table: "angarium_missing",
            key: "consumer, event_id",
            column: "due_at",
            form: TimeForm::Native,
            rows: format!("consumer = {}", sql::text(self.consumer)),
            longest: self.missing_after,
            instead: Duration::ZERO,
        }
    }

    async fn compare(&self, store: &Store, stop: &CancellationToken) {
        let mut wakeup = store.wakeup(SIGNAL, due_in_ms(self.consumer));
        let mut reconnect = Reconnect::default();
        while !stop.is_cancelled() {
            let compared = async {
                let known = wakeup.ask().await?;
                if known == Some(Duration::ZERO) {
                    self.compare_some(store).await?;
                    return Ok(Some(PAUSE));
                }
                Ok::<_, DbErr>(known)
            };
            match compared.await {
                Ok(known) => {
                    reconnect.reset();
                    let _ = stop.run_until_cancelled(wakeup.sleep(known)).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "missing events cannot be compared now");
                    reconnect.pause(stop).await;
                }
            }
        }
    }

    async fn compare_some(&self, store: &Store) -> Result<(), DbErr> {
        let _turn = store.turn_to_write().await?;
        let (db, some) = (store.connection(), || [self.consumer.into(), BATCH.into()]);
        let arrived = sql::execute(db, ARRIVED, some()).await?;
        let again = some()
            .into_iter()
            .chain([millis(self.missing_after).into()]);
        let missing = sql::query_all(db, MISSING, again).await?;
        let mut new = 0_u64;
        let mut first: Option<(String, String)> = None;
        for row in &missing {
            if row.try_get("", "is_new")? {
                new += 1;
                first.get_or_insert((row.try_get("", "source")?, row.try_get("", "event_type")?));
            }
        }
        if arrived > 0 {
            tracing::debug!(
                consumer = self.consumer,
                events = arrived,
                "events have arrived after their checkpoint"
            );
        }
        if let Some((producer, event_type)) = first {
            tracing::error!(
                consumer = self.consumer,
                events = new,
                producer,
                event.r#type = event_type,
                "events were published and have not arrived. What to do: angarium reconcile"
            );
        }
        Ok(())
    }
}
