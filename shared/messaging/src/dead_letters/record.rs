//! The record of decisions: who has replayed or discarded which dead letter, when and why.
//!
//! Guarantee: a decision is in the record if and only if it is committed. The record has a retention of its own, so it outlives the
//! inbox row that a decision was about.

use sea_orm::DbErr;
use store::sql;

use crate::transaction::Transaction;

pub(crate) const REPLAYED: &str = "replayed";
pub(crate) const DISCARDED: &str = "discarded";

/// A decision about a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its place in the record, which grows.
    pub sequence: i64,
    /// The dead letter.
    pub event_id: String,
    /// The protobuf full name of the event, if it had one. None for a decision of a release that did not keep it.
    pub event_type: Option<String>,
    /// Whether it was replayed rather than discarded.
    pub replayed: bool,
    /// Who. An operator's name, or a part of the service: `retention`, `erasure`.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// What the row said was wrong. None also if it was erased with the personal data of a user.
    pub cause: Option<String>,
    /// When, in Unix milliseconds by the database's clock.
    pub decided_at_ms: i64,
}

/// Keeps a decision about an event that is held or given up on, with what its row says now. If the row is not changed after it, the
/// transaction is to be rolled back.
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
