//! Wakes the active relay when a replica in another process has committed an event.
//!
//! Only a standby notifies, after the commit and once for simultaneous commits: NOTIFY takes a lock on the whole
//! database, and is unnecessary within one process. The shared poll is the fallback; if it finds events without a
//! notification, the listening connection is checked.

use std::time::Duration;

use sea_orm::sqlx::Executor as _;
use sea_orm::sqlx::postgres::{PgListener, PgPoolOptions};
use sea_orm::{DbBackend, DbErr};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::reconnect::Reconnect;
use crate::store::Store;
use store::sql;

const ANSWER: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Others {
    pub(super) committed: Notify,
    /// The poll found unannounced events: the listening connection may be dead.
    pub(super) doubted: Notify,
}

pub(super) async fn notify(store: &Store) -> Result<(), DbErr> {
    if store.connection().get_database_backend() == DbBackend::Postgres {
        let sql = format!("SELECT pg_notify({CHANNEL}, '')");
        sql::execute(store.relay(), &sql, []).await?;
    }
    Ok(())
}

pub(super) async fn listen(store: &Store, others: &Others, stop: &CancellationToken) {
    if store.connection().get_database_backend() != DbBackend::Postgres {
        return stop.cancelled().await;
    }
    let mut reconnect = Reconnect::default();
    while !stop.is_cancelled() {
        let listening = listen_until_broken(store, others, &mut reconnect);
        if let Some(Err(error)) = stop.run_until_cancelled(listening).await {
            tracing::debug!(%error, "not listening for commits of other replicas; the poll finds them");
        }
        reconnect.pause(stop).await;
    }
}

async fn listen_until_broken(
    store: &Store,
    others: &Others,
    reconnect: &mut Reconnect,
) -> Result<(), DbErr> {
    let channel = sql::query_one(
        store.connection(),
        &format!("SELECT {CHANNEL} AS channel"),
        [],
    )
    .await?;
    let channel: String = channel.map_or(Ok(String::new()), |row| row.try_get("", "channel"))?;
    // A separate connection, because it is kept forever and the pool is small.
    let options = store
        .connection()
        .get_postgres_connection_pool()
        .connect_options();
    let own = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with((*options).clone());
    let mut listener = answered(PgListener::connect_with(&own)).await?;
    answered(listener.listen(&channel)).await?;
    reconnect.connected();
    // For commits before it was listening.
    others.committed.notify_one();
    loop {
        tokio::select! {
            heard = listener.try_recv() => match heard.map_err(broken)? {
                Some(_) => others.committed.notify_one(),
                None => return Ok(()),
            },
            () = others.doubted.notified() => probe(&mut listener).await?,
        }
    }
}

async fn probe(listener: &mut PgListener) -> Result<(), DbErr> {
    answered(listener.execute("SELECT 1")).await.map(|_| ())
}

/// A silent link would block these forever.
async fn answered<T>(
    answer: impl Future<Output = Result<T, sea_orm::sqlx::Error>>,
) -> Result<T, DbErr> {
    let silence = |_| {
        Err(sea_orm::sqlx::Error::Io(
            std::io::ErrorKind::TimedOut.into(),
        ))
    };
    let asked = tokio::time::timeout(ANSWER, answer).await;
    asked.unwrap_or_else(silence).map_err(broken)
}

/// With the schema, because services may share a database.
const CHANNEL: &str = "'outbox_' || current_schema()";

fn broken(error: sea_orm::sqlx::Error) -> DbErr {
    DbErr::Conn(sea_orm::RuntimeErr::SqlxError(error.into()))
}
