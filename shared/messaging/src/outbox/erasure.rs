//! Erases a person's data from the history of the outbox.
//!
//! Guarantee: after the commit, no payload in the history contains data of this person, and none gets there later. A
//! pending event is published unchanged, because consumers need it, and is erased afterwards.

use sea_orm::DbErr;
use store::sql;

use crate::transaction::Transaction;

/// Erases the payloads of the events of `person_id` ([`Event::person_id`](event::Event::person_id)), in the transaction
/// that deletes the data.
///
/// # Errors
/// If the database refuses.
pub async fn erase(transaction: &Transaction, person_id: &str) -> Result<(), DbErr> {
    // The outbox first: this waits for a row that the relay is moving, and the second statement finds it.
    for erasing in [ERASE_LATER, ERASE] {
        sql::execute(transaction, erasing, [person_id.into()]).await?;
    }
    Ok(())
}

pub(super) const ERASE_LATER: &str =
    "UPDATE angarium_outbox SET to_erase = true WHERE person_id = $1 AND person_id IS NOT NULL";
pub(super) const ERASE: &str = "
UPDATE angarium_outbox_history SET payload = substr(payload, 1, 0), erased_at = {time}
WHERE person_id = $1 AND person_id IS NOT NULL AND erased_at IS NULL";
