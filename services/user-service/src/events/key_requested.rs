//! A service has no key to verify tokens: announces all keys, at most once a second.

use contracts::key::v1::KeyRequested;
use messaging::{Delivered, HandlerError, Transaction};

use crate::keys::announcement;
use crate::store::signing_keys;

/// One announcement answers all requests within this time. A service without a queue at that moment requests again.
const PAUSE_MS: i64 = 1_000;

pub async fn handle(
    transaction: &Transaction,
    event: KeyRequested,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let now_ms = delivered.now_ms;
    signing_keys::lock_all(transaction).await?;
    if signing_keys::announced_between(transaction, now_ms - PAUSE_MS, now_ms).await? {
        return Ok(());
    }
    announcement::announce(transaction, now_ms, &delivered.cause()).await?;
    tracing::info!(
        service = event.service,
        "announced the keys to a service that has none"
    );
    Ok(())
}
