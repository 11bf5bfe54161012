//! Records the outcomes of attempts in one statement.
//!
//! Guarantee: an attempt that has lost its lease does not change its mail, unless it has sent it. The other outcomes of
//! the group are recorded anyway.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr, Value};
use serde_json::{Map, json};
use store::sql;
use uuid::Uuid;

use super::{state_name, stored_id};
use crate::notification::{Attempt, End, State};

/// Returns the mails for which this was new, each with the time of the record.
///
/// A handed-over mail is recorded as sent, even if another attempt has the lease: no attempt must send it again. Any
/// other outcome without the lease is ignored.
pub async fn record<'a>(
    db: &impl ConnectionTrait,
    ends: impl IntoIterator<Item = (&'a Attempt, End)>,
) -> Result<HashMap<Uuid, i64>, DbErr> {
    let recorded = sql::query_all(db, RECORD, [listed(ends)]).await?;
    let recorded = recorded.iter().map(|row| {
        let id: String = row.try_get("", "notification_id")?;
        Ok((stored_id(&id)?, row.try_get("", "recorded_at_ms")?))
    });
    recorded.collect()
}

/// Rows are locked in the order of their ids, as in a deletion, to avoid deadlocks. With a comparison with `pending`,
/// PostgreSQL would scan the partial index instead of looking up these rows.
const RECORD: &str = "
UPDATE notification
SET state = end_state, failure = end_failure, attempt_began_at_ms = NULL,
    sent_at_ms = CASE WHEN end_state = 'sent' THEN {now} END,
    failed_at_ms = CASE WHEN end_state = 'failed' THEN {now} END,
    due_at_ms = CASE WHEN end_state = 'pending' THEN {now} + end_delay_ms ELSE due_at_ms END
FROM (SELECT notification.notification_id AS end_id, list.state AS end_state, list.failure AS end_failure,
             list.delay_ms AS end_delay_ms
      FROM notification
      JOIN {list $1: id text, attempt bigint, state text, failure text, delay_ms bigint}
        ON list.id = notification.notification_id
      WHERE notification.state NOT IN ('sent', 'failed') AND (list.state = 'sent' OR list.attempt = notification.attempts)
      ORDER BY notification.notification_id {for update}) AS ended
WHERE notification_id = end_id
RETURNING notification_id, coalesce(sent_at_ms, failed_at_ms, 0) AS recorded_at_ms";

fn listed<'a>(ends: impl IntoIterator<Item = (&'a Attempt, End)>) -> Value {
    sql::list(ends.into_iter().map(|(attempt, end)| {
        let (state, failure, delay) = match end {
            End::Sent => (State::Sent, None, None),
            End::Postponed(failure, delay) => (State::Pending, Some(failure), Some(delay)),
            End::GivenUp(failure) => (State::Failed, Some(failure), None),
        };
        let columns = [
            ("id", json!(attempt.letter.id.to_string())),
            ("attempt", json!(attempt.number)),
            ("state", json!(state_name(state))),
            ("failure", json!(failure.map(|failure| failure.to_string()))),
            ("delay_ms", json!(delay.map(runtime::millis))),
        ];
        Map::from_iter(columns.map(|(name, value)| (name.to_owned(), value)))
    }))
}

#[cfg(test)]
mod tests {
    use store::Transaction;
    use testkit::{Database, StoreKind};

    use super::*;

    const PENDING: &str = "
INSERT INTO notification (notification_id, event_id, user_id, kind, state, email, display_name, subject, body_text,
                          body_html, correlation_id, attempts, repeats, created_at_ms, due_at_ms)
SELECT 'mail ' || i, 'event ' || i, 'user', 'order_placed', 'pending', '', '', '', repeat('x', 700), '', '', 0, 0, 0, 0
FROM generate_series(1, 600) AS i";

    /// A session keeps its plan until the next statistics, and most mails come after the first ones.
    #[tokio::test]
    async fn outcomes_find_their_mails_by_key_in_a_small_table() {
        let database = Database::create(StoreKind::Postgres).await;
        let db = database.migrated::<crate::migrations::Migrator>().await;
        let transaction = Transaction::begin(&db).await.unwrap();
        let record = sql::statement(&transaction, RECORD, []).sql;
        for step in [
            PENDING,
            "ANALYZE notification",
            "SET LOCAL plan_cache_mode = force_generic_plan",
            &format!("PREPARE record (text) AS {record}"),
        ] {
            sql::execute(&transaction, step, []).await.unwrap();
        }
        let explain = sql::query_all(&transaction, "EXPLAIN EXECUTE record ('[]')", []);
        let steps = explain.await.unwrap().into_iter();
        let steps: Vec<String> = steps
            .map(|row| row.try_get("", "QUERY PLAN").unwrap())
            .collect();
        let plan = steps.join("\n");
        assert!(!plan.contains("Seq Scan on notification"), "{plan}");
        transaction.rollback().await.unwrap();
    }
}
