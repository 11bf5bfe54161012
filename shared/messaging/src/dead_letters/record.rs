//! The record of decisions: who replayed or discarded which dead letter, when and why.
//!
//! Guarantee: a decision is in the record if and only if it is committed. The record outlives the inbox rows.

use sea_orm::DbErr;
use store::sql;

use crate::transaction::Transaction;

pub(crate) const REPLAYED: &str = "replayed";
pub(crate) const DISCARDED: &str = "discarded";

/// A decision about a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its ascending number in the record.
    pub sequence: i64,
    /// The dead letter.
    pub event_id: String,
    /// The protobuf full name. None if it had none, or for a decision of an older release.
    pub event_type: Option<String>,
    /// Whether it was replayed rather than discarded.
    pub replayed: bool,
    /// The operator's name, or a part of the service: `retention`, `erasure`.
    pub actor: String,
    /// The reason.
    pub reason: String,
    /// As in the row. None also if it was erased with a user's personal data.
    pub cause: Option<String>,
    /// Unix milliseconds by the database's clock.
    pub decided_at_ms: i64,
}

/// The caller must roll back if it does not change the row.
pub(crate) async fn keep(
    transaction: &Transaction,
    consumer: &str,
    event_id: &str,
    decision: &str,
    actor: &str,
    reason: &str,
) -> Result<(), DbErr> {
    let keeping = "
        INSERT INTO angarium_dead_letter_decision
            (consumer, event_id, event_type, decision, actor, reason, cause, attempts, decided_at)
        SELECT consumer, event_id, event_type, $3, $4, $5, cause, attempts, {time} FROM angarium_inbox
        WHERE consumer = $1 AND event_id = {uuid $2} AND state <> 'done'";
    let values = [consumer, event_id, decision, actor, reason].map(Into::into);
    sql::execute(transaction, keeping, values).await?;
    Ok(())
}
