//! Which PostgreSQL sessions may go back into the pool.
//!
//! Guarantees: each of them is outside a transaction, even if its last caller cancelled a call. Once a session proves read-only,
//! as after a failover, it and all older ones are closed, so that each session fails one call at most.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{self, Connection as _, Executor as _, Row as _};

/// The limit for the check of a session that returns to the pool: on a silent link no answer would ever come. A statement may have
/// waited for 15 s before it, and its rollback for 5 s. All three together stay below the 25 s after which a silent session is gone,
/// also on a busy machine.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// A session returns soon after its statement failed: it rolls back first, and a handler may record the failure.
const DOUBT: Duration = Duration::from_secs(5);

/// If new sessions are read-only too, the server is read-only: a new session for each failed call would not help.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// What is known about the sessions of one pool.
#[derive(Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    failed: Option<Instant>,
    read_only: Option<Instant>,
}

impl Sessions {
    /// A statement has failed, so the next returning sessions are checked for read-only. A healthy system never
    /// checks.
    pub(super) fn statement_failed(&self) {
        self.seen().failed = Some(Instant::now());
    }

    /// Whether a session of this age was opened before one proved read-only.
    pub(super) fn is_outdated(&self, age: Duration) -> bool {
        let read_only = self.seen().read_only;
        read_only.is_some_and(|at| age > at.elapsed())
    }

    /// Whether a session that its caller has given back may be used again.
    ///
    /// # Errors
    /// Where it does not answer, or answers with an error. It must be closed then.
    pub(super) async fn may_return(
        &self,
        session: &mut PgConnection,
        age: Duration,
    ) -> Result<bool, sqlx::Error> {
        let silence = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        let checked = tokio::time::timeout(RELEASE_TIMEOUT, self.check(session, age)).await;
        checked.map_err(silence)?
    }

    async fn check(&self, session: &mut PgConnection, age: Duration) -> Result<bool, sqlx::Error> {
        leave_transaction(session).await?;
        if self.is_outdated(age) {
            return Ok(false);
        }
        let doubted = self.seen().failed.is_some_and(|at| at.elapsed() < DOUBT);
        if doubted && is_read_only(session).await? {
            return Ok(!self.gives_up(age));
        }
        Ok(true)
    }

    /// Whether to close a session that is read-only and not outdated.
    fn gives_up(&self, age: Duration) -> bool {
        let mut seen = self.seen();
        let gives_up = seen.read_only.is_none() || age >= SHORTEST_LIFE;
        if gives_up {
            seen.read_only = Some(Instant::now());
            tracing::warn!("a database session is read-only: all sessions are opened anew");
        }
        gives_up
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// If a caller cancels BEGIN before its answer, sqlx 0.9.0 does not know of the transaction and never ends it: the next statements
/// on the session would be part of it. Only the server knows the state, and sends it with each answer. sqlx shows it only in
/// `begin_with`, which fails unless its statement, here an empty one, ends inside a transaction.
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
