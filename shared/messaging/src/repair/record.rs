//! The record of repairs: what was handed over, skipped or accepted, by which operator, when and why.
//!
//! Guarantee: a step is in the record if and only if it is committed.

use sea_orm::{DbErr, QueryResult};
use store::sql;

use crate::transaction::Transaction;

/// The operator and the reason of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// An operator's name or id.
    pub actor: String,
    /// The operator's reason.
    pub reason: String,
}

/// A step of a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its ascending number in the record.
    pub sequence: i64,
    /// `handed over`, `skipped` or `accepted`.
    pub action: String,
    /// Its subject.
    pub detail: String,
    /// The number of events.
    pub events: i64,
    /// The operator.
    pub actor: String,
    /// The operator's reason.
    pub reason: String,
    /// Unix milliseconds by the database's clock.
    pub done_at_ms: i64,
}

pub(super) const HANDED_OVER: &str = "handed over";
pub(super) const SKIPPED: &str = "skipped";
pub(super) const ACCEPTED: &str = "accepted";

pub(super) async fn keep(
    transaction: &Transaction,
    consumer: &str,
    action: &str,
    detail: &str,
    events: u64,
    by: &By,
) -> Result<(), DbErr> {
    let keeping = "
        INSERT INTO angarium_repair (consumer, action, detail, events, actor, reason, done_at)
        VALUES ($1, $2, $3, $4, $5, $6, {time})";
    let values = [
        consumer.into(),
        action.into(),
        detail.into(),
        i64::try_from(events).unwrap_or(i64::MAX).into(),
        by.actor.as_str().into(),
        by.reason.as_str().into(),
    ];
    sql::execute(transaction, keeping, values).await?;
    Ok(())
}

pub(super) const STEPS: &str = "
SELECT sequence, action, detail, events, actor, reason, {ms done_at} AS done_at_ms FROM angarium_repair
WHERE consumer = $1 AND sequence > $2 ORDER BY sequence LIMIT $3";

pub(super) fn step(row: &QueryResult) -> Result<Step, DbErr> {
    Ok(Step {
        sequence: row.try_get("", "sequence")?,
        action: row.try_get("", "action")?,
        detail: row.try_get("", "detail")?,
        events: row.try_get("", "events")?,
        actor: row.try_get("", "actor")?,
        reason: row.try_get("", "reason")?,
        done_at_ms: row.try_get("", "done_at_ms")?,
    })
}
