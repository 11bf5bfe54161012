//! One attempt at one event, to its end: committed, or rolled back and noted as failed.

use event::Message;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use super::handling::{Failure, Handling, Outcome};
use crate::faults;
use crate::inbox::Due;
use crate::reconnect::Reconnect;
use crate::store::Store;
use crate::subscription::HandlerError;
use crate::transaction::Transaction;

/// How often to note that a handler did not end: what it waits for may be what noting waits for, for as long as the database lets
/// a statement run.
const NOTING: usize = 3;

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
        Err(Failure::TimedOut(error)) => {
            // Where it is at a statement still, that is undone with its connection.
            let _ = transaction.rollback().await;
            Failure::TimedOut(error)
        }
        // A store that does not answer is not asked to undo anything: that ends with the connection.
        Err(Failure::Store(error)) => return Err(error),
    };
    match failure {
        Failure::Store(error) => Err(error),
        Failure::Handler(error) => note(handling, store, message, &error, due).await,
        Failure::TimedOut(error) => {
            // An event that never ends must not be tried for ever without being counted.
            let (mut reconnect, stop) = (Reconnect::default(), CancellationToken::new());
            for _ in 1..NOTING {
                if let Ok(outcome) = note(handling, store, message, &error, due).await {
                    return Ok(outcome);
                }
                reconnect.pause(&stop).await;
            }
            note(handling, store, message, &error, due).await
        }
    }
}

async fn note(
    handling: &Handling,
    store: &Store,
    message: &Message,
    error: &HandlerError,
    due: Option<&Due>,
) -> Result<Outcome, DbErr> {
    let transaction = store.begin().await?;
    let outcome = handling.failed(&transaction, message, error, due).await?;
    transaction.commit().await?;
    faults::point("noted");
    Ok(outcome)
}
