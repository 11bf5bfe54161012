//! Decides which PostgreSQL sessions of the pool may be reused.
//!
//! Guarantee: a session that was idle for seconds is tested before a caller gets it. If a session proves read-only, as
//! after a failover, it and all older ones are closed, so each session fails at most one call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::sqlx::pool::PoolConnectionMetadata;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{self, Connection as _, Executor as _, Row as _};

use crate::doubt::Doubt;

/// After this idle time, a session is pinged before use.
const IDLE: Duration = Duration::from_secs(3);
/// A caller waits for the ping.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// On a silent link no answer comes. A statement of the engine may have waited for 15 s and its rollback for 5 s before
/// this check. All three stay below the 25 s after which a silent session is ended, even on a busy machine. (A handler's
/// statement may have waited for 25 s.)
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// First it rolls back, and a handler may record the failure.
const DOUBT: Duration = Duration::from_secs(5);

/// If new sessions are read-only as well, so is the server.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    seen: Arc<Mutex<Seen>>,
    doubt: Doubt,
}

#[derive(Debug, Default)]
struct Seen {
    failed: Option<Instant>,
    read_only: Option<Instant>,
}

impl Sessions {
    pub(crate) fn watched(doubt: Doubt) -> Self {
        Self {
            seen: Arc::default(),
            doubt,
        }
    }

    /// The next sessions are checked.
    pub(crate) fn statement_failed(&self) {
        self.seen().failed = Some(Instant::now());
        self.doubt.raise();
    }

    /// A session of this age was opened before one proved read-only.
    pub(crate) fn is_outdated(&self, age: Duration) -> bool {
        let read_only = self.seen().read_only;
        read_only.is_some_and(|at| age > at.elapsed())
    }

    /// A session that was just used is not pinged, because that costs a round trip. After a failed statement all are.
    pub(crate) async fn may_be_used(
        &self,
        session: &mut PgConnection,
        seen: &PoolConnectionMetadata,
    ) -> bool {
        if self.is_outdated(seen.age) {
            return false;
        }
        if seen.idle_for < IDLE && !self.is_doubted() {
            return true;
        }
        let answer = tokio::time::timeout(PING_TIMEOUT, session.ping()).await;
        matches!(answer, Ok(Ok(())))
    }

    /// # Errors
    /// If it does not answer, or with an error: it must then be closed.
    pub(crate) async fn may_return(
        &self,
        session: &mut PgConnection,
        age: Duration,
    ) -> Result<bool, sqlx::Error> {
        if self.is_outdated(age) {
            return Ok(false);
        }
        if !self.is_doubted() {
            return Ok(true);
        }
        let silence = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        let checking = async {
            leave_transaction(session).await?;
            is_read_only(session).await
        };
        let checked = tokio::time::timeout(RELEASE_TIMEOUT, checking).await;
        let read_only = checked.map_err(silence)??;
        Ok(!read_only || !self.gives_up(age))
    }

    fn is_doubted(&self) -> bool {
        let failed = self.seen().failed;
        failed.is_some_and(|at| at.elapsed() < DOUBT)
    }

    fn gives_up(&self, age: Duration) -> bool {
        let mut seen = self.seen();
        let gives_up = seen.read_only.is_none() || age >= SHORTEST_LIFE;
        if gives_up {
            seen.read_only = Some(Instant::now());
            tracing::warn!("a database session is read-only: all sessions are replaced");
        }
        gives_up
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cancelled BEGIN may have started a transaction that sqlx 0.9.0 does not know, but the server does. sqlx shows that
/// only in `begin_with`, which fails unless its statement, here an empty one, ends inside a transaction.
async fn leave_transaction(session: &mut PgConnection) -> Result<(), sqlx::Error> {
    match session.begin_with("").await {
        Err(sqlx::Error::BeginFailed) => Ok(()),
        Err(error) => Err(error),
        Ok(open) => open.rollback().await,
    }
}

async fn is_read_only(session: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = session.fetch_one("SHOW transaction_read_only").await?;
    Ok(row.try_get::<String, _>(0)? == "on")
}
