//! Publishes a request for something that this service lacks, repeatedly, until the answer has arrived.
//!
//! Guarantee: no request while the broker is unreachable or before the service's own queue can take the answer.
//! Replicas may request at the same time; the answering service must expect that.

use std::time::Duration;

use event::Event;
use sea_orm::DbErr;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::outbox::{self, Cause};
use crate::retry::Backoff;
use crate::store::Store;
use crate::wakeup::Wakeup;

/// No transaction raises this signal: the worker sees the answer in the database.
const SIGNAL: &str = "asking";
/// The wait before the first request: if all services start together, most answers arrive without a request.
const GRACE: Duration = Duration::from_secs(4);
const PAUSES: Backoff = Backoff::doubling(Duration::from_secs(2), Duration::from_secs(60));

/// Publishes `request` while the answer is missing, until `stop`. `missing` is a query for [`Store::wakeup`]: zero if the
/// answer is missing, null if it is there. `connected` is [`Engine::connected`](crate::Engine::connected).
pub async fn ask_until_answered<E: Event>(
    store: Store,
    mut connected: watch::Receiver<bool>,
    missing: impl Into<String>,
    request: impl Fn() -> E,
    stop: CancellationToken,
) {
    let mut wakeup = store.wakeup(SIGNAL, missing);
    let asking = async {
        loop {
            if connected.wait_for(|connected| *connected).await.is_err() {
                // The engine has ended.
                return std::future::pending::<()>().await;
            }
            if let Err(error) = ask(&store, &mut wakeup, &connected, &request).await {
                tracing::debug!(%error, "a request waits for the database");
                tokio::time::sleep(PAUSES.first).await;
            }
        }
    };
    let _ = stop.run_until_cancelled(asking).await;
}

async fn ask<E: Event>(
    store: &Store,
    wakeup: &mut Wakeup,
    connected: &watch::Receiver<bool>,
    request: &impl Fn() -> E,
) -> Result<(), DbErr> {
    let (mut pause, mut requests) = (GRACE, 0);
    while is_missing(wakeup).await? {
        tokio::time::sleep(pause).await;
        if !*connected.borrow() {
            return Ok(());
        }
        if !is_missing(wakeup).await? {
            break;
        }
        publish(store, &request()).await?;
        requests += 1;
        pause = PAUSES.delay(requests, fastrand::f64());
    }
    let known = wakeup.ask().await?;
    if known != Some(Duration::ZERO) {
        wakeup.sleep(known).await;
    }
    Ok(())
}

async fn is_missing(wakeup: &Wakeup) -> Result<bool, DbErr> {
    Ok(wakeup.ask().await? == Some(Duration::ZERO))
}

async fn publish<E: Event>(store: &Store, request: &E) -> Result<(), DbErr> {
    let cause = Cause::call(Uuid::now_v7().to_string());
    let transaction = store.begin().await?;
    outbox::enqueue(&transaction, request, 1, &cause)?;
    transaction.commit().await?;
    tracing::info!(
        event.r#type = E::full_name(),
        "requested what this service lacks"
    );
    Ok(())
}
