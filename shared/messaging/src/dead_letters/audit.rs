//! Reads the record of decisions.

use sea_orm::{DbErr, QueryResult};
use store::sql;

use super::record::{Decision, REPLAYED};
use super::{DeadLetters, id};

const DECISION: &str = "
SELECT sequence, {text event_id} AS event_id, event_type, decision, actor, reason, cause, {ms decided_at} AS decided_at_ms
FROM angarium_dead_letter_decision WHERE consumer = $1";

impl DeadLetters {
    /// The decisions about an event, oldest first, also after its row is deleted.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn decisions(&self, event_id: &str) -> Result<Vec<Decision>, DbErr> {
        let Some(event_id) = id(event_id) else {
            return Ok(Vec::new());
        };
        let sql = format!("{DECISION} AND event_id = {{uuid $2}} ORDER BY sequence");
        let values = [self.consumer.as_str().into(), event_id.as_str().into()];
        let rows = sql::query_all(self.store.connection(), &sql, values).await?;
        rows.iter().map(decision).collect()
    }

    /// At most `limit` decisions about all events, oldest first, after the sequence `after` (0 for the first).
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn audit(&self, after: i64, limit: u32) -> Result<Vec<Decision>, DbErr> {
        let sql = format!("{DECISION} AND sequence > $2 ORDER BY sequence LIMIT $3");
        let values = [
            self.consumer.as_str().into(),
            after.into(),
            i64::from(limit).into(),
        ];
        let rows = sql::query_all(self.store.connection(), &sql, values).await?;
        rows.iter().map(decision).collect()
    }
}

fn decision(row: &QueryResult) -> Result<Decision, DbErr> {
    Ok(Decision {
        sequence: row.try_get("", "sequence")?,
        event_id: row.try_get("", "event_id")?,
        event_type: row.try_get("", "event_type")?,
        replayed: row.try_get::<String>("", "decision")? == REPLAYED,
        actor: row.try_get("", "actor")?,
        reason: row.try_get("", "reason")?,
        cause: row.try_get("", "cause")?,
        decided_at_ms: row.try_get("", "decided_at_ms")?,
    })
}
