//! The consuming service: a row for each event, and failures as often as asked for.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};

use messaging::{Delivered, HandlerError, Transaction};

use crate::deposit::Deposited;
use crate::tables;

/// Of a hundred attempts, how many fail. A static, because a handler is a plain function.
pub(crate) static FAILURES: AtomicU64 = AtomicU64::new(0);

pub(crate) async fn record(
    transaction: &Transaction,
    event: Deposited,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let version = delivered.envelope.aggregate_version;
    tables::execute(
        &**transaction,
        "INSERT INTO effect (op, account, version) VALUES ($1, $2, $3)",
        [
            event.op.as_str().into(),
            event.account.into(),
            version.into(),
        ],
    )
    .await?;
    // Its effect comes first, so that there is something to undo.
    if fails(&event.op, delivered.attempt) {
        return Err(HandlerError::retry("on purpose"));
    }
    Ok(())
}

/// The same for the same event and attempt, so that a seed repeats its run.
fn fails(op: &str, attempt: u32) -> bool {
    let mut hasher = DefaultHasher::new();
    (op, attempt).hash(&mut hasher);
    hasher.finish() % 100 < FAILURES.load(Ordering::Relaxed)
}
