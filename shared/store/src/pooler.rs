//! Checks whether each connection has its own database session.
//!
//! A pooler such as PgBouncer may lend a session for one transaction only. Settings, prepared statements and LISTEN
//! belong to a session, so a service refuses to start there: the later errors would look like an outage.

use std::collections::HashSet;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, Connection as _, Executor as _, Row as _};

/// A pooler with one session makes the second connection wait.
const SECOND: Duration = Duration::from_secs(2);

/// One check is enough if no other client uses the pooler; otherwise the sessions change soon.
const ROUNDS: usize = 5;

/// Whether the session of `first` is lent to another connection, or `first` gets another session, while both are open.
///
/// # Errors
/// If `first` fails. A failure of the second connection proves nothing.
pub(crate) async fn lends_sessions(
    first: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<bool, sqlx::Error> {
    let connecting = tokio::time::timeout(SECOND, PgConnection::connect_with(options)).await;
    let Ok(Ok(mut second)) = connecting else {
        return Ok(false);
    };
    let (mut of_first, mut of_second) = (HashSet::new(), HashSet::new());
    for _ in 0..ROUNDS {
        of_first.insert(session(first).await?);
        let Ok(Ok(pid)) = tokio::time::timeout(SECOND, session(&mut second)).await else {
            return Ok(false);
        };
        of_second.insert(pid);
    }
    // The next client gets the session immediately.
    let _ = second.close().await;
    let own = of_first.len() == 1 && of_second.len() == 1 && of_first.is_disjoint(&of_second);
    Ok(!own)
}

/// A pooler may not support prepared statements.
async fn session(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    let row = connection.fetch_one("SELECT pg_backend_pid()").await?;
    row.try_get(0)
}
