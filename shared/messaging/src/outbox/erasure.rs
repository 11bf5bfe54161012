//! Erases the personal data of a person from the outbox's history.
//!
//! Guarantee: once the transaction has committed, no payload in the history holds personal data of this person, and none comes there.
//! An event that is still to be published is published as it is, because consumers need it, and is erased when it is.

use sea_orm::DbErr;
use store::sql;

use crate::transaction::Transaction;

/// Erases the payloads of the events of `person_id` ([`Event::person_id`](event::Event::person_id)). For the transaction that
/// deletes a person's data.
///
/// # Errors
/// Where the database refuses.
pub async fn erase(transaction: &Transaction, person_id: &str) -> Result<(), DbErr> {
    // The outbox first: a row that the relay moves in this moment is waited for, and the second statement finds it.
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
