//! The producer's side of a restore: which received events it has lost with its database.
//!
//! Guarantee: an event is lost only if the retention cannot have deleted it.

use std::time::Duration;

use sea_orm::DbErr;
use serde_json::json;
use store::sql;
use uuid::Uuid;

use super::divergence::Received;
use super::history::History;
use crate::retry::millis;

/// An event that its producer has published and lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The event.
    pub event: Received,
    /// The event that has its version now, if any.
    pub other: Option<String>,
}

const MARGIN: Duration = Duration::from_secs(3600);

const FIND: &str = "
SELECT list.event_id, coalesce({text pending.event_id}, {text past.event_id}) AS other, {now} AS now_ms
FROM {list $1: event_id text, aggregate_type text, aggregate_id text, version bigint}
LEFT JOIN angarium_outbox AS pending
       ON pending.aggregate_type = list.aggregate_type AND pending.aggregate_id = list.aggregate_id
      AND pending.aggregate_version = list.version
LEFT JOIN angarium_outbox_history AS past
       ON past.aggregate_type = list.aggregate_type AND past.aggregate_id = list.aggregate_id
      AND past.aggregate_version = list.version";

impl History {
    /// The lost ones of `events`.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn lost(&self, events: &[Received]) -> Result<Vec<Lost>, DbErr> {
        let rows = events.iter().map(|event| {
            let columns = [
                ("event_id", json!(event.event_id)),
                ("aggregate_type", json!(event.aggregate_type)),
                ("aggregate_id", json!(event.aggregate_id)),
                ("version", json!(event.version)),
            ];
            let columns = columns.map(|(name, value)| (name.to_owned(), value));
            columns.into_iter().collect()
        });
        let rows = sql::query_all(self.store().connection(), FIND, [sql::list(rows)]).await?;
        let kept_ms = millis(self.retention().saturating_sub(MARGIN));
        let mut lost = Vec::new();
        for row in &rows {
            let id: String = row.try_get("", "event_id")?;
            let other: Option<String> = row.try_get("", "other")?;
            let now_ms: i64 = row.try_get("", "now_ms")?;
            let is_kept = || created_ms(&id).is_some_and(|at| at > now_ms - kept_ms);
            if other.as_ref() == Some(&id) || other.is_none() && !is_kept() {
                continue;
            }
            let event = events.iter().find(|event| event.event_id == id);
            lost.extend(event.cloned().map(|event| Lost { event, other }));
        }
        Ok(lost)
    }
}

fn created_ms(event_id: &str) -> Option<i64> {
    let time = Uuid::parse_str(event_id).ok()?.get_timestamp()?;
    let (seconds, nanos) = time.to_unix();
    i64::try_from(seconds * 1000 + u64::from(nanos / 1_000_000)).ok()
}
