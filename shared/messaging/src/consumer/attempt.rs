//! One attempt at one event, to its end: committed, or rolled back and noted as failed.

use event::Message;
use sea_orm::DbErr;

use super::handling::{Failure, Handling, Outcome};
use crate::inbox::Due;
use crate::store::{Store, Transaction};

/// Takes up a message that has just arrived, or one that is `due`, in `transaction`, and answers what is committed of it.
///
/// # Errors
/// Where the store is away: then nothing has changed, and no attempt is spent.
pub(super) async fn attempt(
    handling: &Handling,
    store: &Store,
    transaction: Transaction,
    message: &Message,
    due: Option<&Due>,
) -> Result<Outcome, DbErr> {
    let tried = match due {
        None => handling.arrived(&transaction, message).await,
        Some(due) => handling.due(&transaction, due).await,
    };
    let failure = match tried {
        Ok(outcome) => match transaction.commit().await {
            Ok(()) => return Ok(outcome),
            Err(error) => Failure::from(error),
        },
        Err(Failure::Handler(error)) => {
            // Where this fails, it was the store that failed the handler: no attempt is spent.
            transaction.rollback().await?;
            Failure::Handler(error)
        }
        // A store that does not answer is not asked to undo anything: that ends with the connection.
        Err(failure) => failure,
    };
    let error = failure.of_handler()?;
    let transaction = store.begin().await?;
    let outcome = handling.failed(&transaction, message, &error, due).await?;
    transaction.commit().await?;
    Ok(outcome)
}
