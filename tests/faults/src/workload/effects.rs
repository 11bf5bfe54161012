//! The handler of the consuming service: it writes one row for each event, and fails as often as the run requires.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use messaging::{Delivered, HandlerError, Transaction};

use super::stopped::Place;
use crate::deposit::{Collected, Deposited};
use crate::tables;

/// Per cent of the attempts that fail. Static, because a handler is a plain function.
pub(crate) static FAILURES: AtomicU64 = AtomicU64::new(0);

/// Per cent of the attempts that are slow.
pub(crate) static DELAYS: AtomicU64 = AtomicU64::new(0);

/// A slow attempt takes less than this.
const SLOW_MS: u64 = 200;

/// Whether the handler now handles the events below.
pub(crate) static REPAIRED: AtomicBool = AtomicBool::new(false);

/// The op of a deposit for which the handler returns an error.
pub(crate) const FAILS: &str = "fails";
/// The op of a deposit that aborts the process.
pub(crate) const ABORTS: &str = "aborts";
/// The op of a deposit for which the handler never returns.
pub(crate) const HANGS: &str = "hangs";

pub(crate) async fn record(
    transaction: &Transaction,
    event: Deposited,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    insert(transaction, &event.op, &event.account, delivered).await?;
    Place::Handler.pass();
    let repaired = REPAIRED.load(Ordering::Relaxed);
    if event.op.starts_with(ABORTS) && !repaired {
        std::process::abort();
    }
    if event.op.starts_with(HANGS) && !repaired {
        std::future::pending::<()>().await;
    }
    if event.op.starts_with(FAILS) && !repaired {
        return Err(HandlerError::retry("this deposit always fails"));
    }
    // The effect is written before this, so there is something to roll back.
    if let Some(delay) = delay(&event.op, delivered.attempt) {
        tokio::time::sleep(delay).await;
    }
    if fails(&event.op, delivered.attempt) {
        return Err(HandlerError::retry("this attempt fails on purpose"));
    }
    Ok(())
}

pub(crate) async fn record_collected(
    transaction: &Transaction,
    event: Collected,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    insert(transaction, &event.op, &event.account, delivered).await
}

async fn insert(
    transaction: &Transaction,
    op: &str,
    account: &str,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let version = delivered.envelope.aggregate_version;
    tables::execute(
        transaction,
        "INSERT INTO effect (op, account, version) VALUES ($1, $2, $3)",
        [op.into(), account.into(), version.into()],
    )
    .await?;
    Ok(())
}

/// Depends on the event and the attempt only, so the same seed repeats a run.
fn fails(op: &str, attempt: u32) -> bool {
    chance(&(op, attempt)) % 100 < FAILURES.load(Ordering::Relaxed)
}

fn delay(op: &str, attempt: u32) -> Option<Duration> {
    let chance = chance(&(op, attempt, "delay"));
    let is_slow = chance % 100 < DELAYS.load(Ordering::Relaxed);
    is_slow.then(|| Duration::from_millis(chance / 100 % SLOW_MS))
}

fn chance(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
