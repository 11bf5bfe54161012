//! Asks for something that this service lacks, by publishing an event again and again until it has come.
//!
//! Guarantees: nothing is asked while the broker is away, and nothing before the service's own queue is there to take the answer;
//! a service that lacks nothing publishes nothing. Replicas may ask side by side: the answering service has to expect that.

use std::time::Duration;

use event::Event;
use sea_orm::DbErr;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::due::Due;
use crate::outbox::{self, Cause};
use crate::retry::delay;
use crate::store::Store;

/// No transaction raises it: the answer is seen in the database.
const SIGNAL: &str = "asking";
/// Before the first request: where all services start together, most answers come without one.
const GRACE: Duration = Duration::from_secs(2);
/// Between two requests.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Publishes what `request` makes while `missing` says so, until `stop`. `missing` is a question as [`Store::due`] takes it: zero
/// where the answer is missing, null where it is there. `connected` is [`Engine::connected`](crate::Engine::connected).
pub async fn ask_until_answered<E: Event>(
    store: Store,
    mut connected: watch::Receiver<bool>,
    missing: impl Into<String>,
    request: impl Fn() -> E,
    stop: CancellationToken,
) {
    let mut due = store.due(SIGNAL, missing);
    let asking = async {
        loop {
            if connected.wait_for(|connected| *connected).await.is_err() {
                // The engine has ended, and with it the service.
                return std::future::pending::<()>().await;
            }
            if let Err(error) = ask(&store, &mut due, &connected, &request).await {
                tracing::debug!(%error, "a request waits for the database");
                tokio::time::sleep(FIRST_PAUSE).await;
            }
        }
    };
    let _ = stop.run_until_cancelled(asking).await;
}

/// Asks until the answer is there, or the broker is away.
async fn ask<E: Event>(
    store: &Store,
    due: &mut Due,
    connected: &watch::Receiver<bool>,
    request: &impl Fn() -> E,
) -> Result<(), DbErr> {
    let (mut pause, mut requests) = (GRACE, 0);
    while is_missing(due).await? {
        tokio::time::sleep(pause).await;
        if !*connected.borrow() {
            return Ok(());
        }
        if !is_missing(due).await? {
            break;
        }
        publish(store, &request()).await?;
        requests += 1;
        pause = delay(FIRST_PAUSE, LONGEST_PAUSE, requests, fastrand::f64());
    }
    let known = due.ask().await?;
    if known != Some(Duration::ZERO) {
        due.sleep(known).await;
    }
    Ok(())
}

async fn is_missing(due: &Due) -> Result<bool, DbErr> {
    Ok(due.ask().await? == Some(Duration::ZERO))
}

async fn publish<E: Event>(store: &Store, request: &E) -> Result<(), DbErr> {
    let cause = Cause {
        correlation_id: Uuid::now_v7().to_string(),
    };
    let transaction = store.begin().await?;
    outbox::enqueue(&transaction, request, 1, &cause).await?;
    transaction.commit().await?;
    tracing::info!(
        event.r#type = E::full_name(),
        "asked for what this service lacks"
    );
    Ok(())
}
