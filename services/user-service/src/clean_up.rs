//! Deletes expired sessions, codes and places, and counters without effect.

use std::sync::Arc;
use std::time::Duration;

use mail_codes::Purpose;
use messaging::Store;
use runtime::{Clock, millis};
use sea_orm::DbErr;
use store::Rounds;
use tokio_util::sync::CancellationToken;

use crate::commands::{RESET_CODE, SESSION, VERIFICATION_CODE};
use crate::places::KNOWN_FOR_MS;
use crate::store::{codes, known_places, sessions};
use crate::throttle::Throttle;

const INTERVAL: Duration = Duration::from_secs(600);

/// About every ten minutes, until `stop`.
pub async fn run(store: Store, throttle: Throttle, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let mut rounds = Rounds::at_once(INTERVAL);
    while rounds.next(&stop).await {
        let done = clean_up(&store, &throttle, clock.now_ms(), &stop).await;
        rounds.report("old sessions were not deleted", done);
    }
}

/// One round, in small batches.
pub async fn clean_up(
    store: &Store,
    throttle: &Throttle,
    now_ms: i64,
    stop: &CancellationToken,
) -> Result<(), DbErr> {
    bring_back(store, now_ms).await?;
    while !stop.is_cancelled() {
        let transaction = store.begin().await?;
        let sessions = sessions::delete_expired(&transaction, now_ms).await?;
        let codes = codes::delete_expired(&transaction, now_ms).await?;
        let places = known_places::delete_older(&transaction, now_ms - KNOWN_FOR_MS).await?;
        transaction.commit().await?;
        if sessions + codes + places + throttle.clean_up().await? == 0 {
            break;
        }
    }
    Ok(())
}

/// The clocks of replicas differ. A time further ahead comes from a wrong clock.
const SKEW: Duration = Duration::from_secs(3600);

/// Times from a clock that was ahead become now.
async fn bring_back(store: &Store, now_ms: i64) -> Result<(), DbErr> {
    let transaction = store.begin().await?;
    known_places::bring_back(&transaction, now_ms).await?;
    sessions::bring_back(&transaction, now_ms + millis(SESSION), millis(SKEW)).await?;
    for (purpose, lifetime) in [
        (Purpose::EmailVerification, VERIFICATION_CODE),
        (Purpose::PasswordReset, RESET_CODE),
    ] {
        codes::bring_back(
            &transaction,
            purpose,
            now_ms + millis(lifetime),
            millis(SKEW),
        )
        .await?;
    }
    transaction.commit().await
}
