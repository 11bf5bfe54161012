//! A pool of SQLite connections on which a transaction commits whole or not at all, even on a full disk.
//!
//! After some failures (FULL, IOERR, NOMEM, INTERRUPT) SQLite ends a transaction by itself. The driver does not notice:
//! its ROLLBACK fails, it still counts one open transaction, and the connection's next BEGIN becomes a SAVEPOINT. The
//! commit of that savepoint commits nothing, and statements in between commit one by one. Two rules prevent both:
//!
//! - A connection that counts an open transaction when it should have none is closed.
//! - After a rollback by the caller, the driver or SQLite, a connection commits nothing until the pool has it back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::sqlite::{SqliteConnection, SqliteError, SqlitePoolOptions};
use sea_orm::sqlx::{Connection as _, Error};

/// `SQLITE_FULL`, and `SQLITE_IOERR_SHMSIZE`: the index of the log may be the first file without room.
const FULL: [&str; 2] = ["13", "4874"];
/// `SQLITE_CONSTRAINT_COMMITHOOK`: the guard has refused a commit.
const REFUSED_COMMIT: &str = "531";
/// `SQLITE_ERROR` with one of two texts: COMMIT and ROLLBACK after the transaction has ended by itself.
const ERROR: &str = "1";
const NO_TRANSACTION: &str = "no transaction is active";

/// Adds both rules to a pool, which must not have its own hooks for connecting, acquiring and releasing.
pub fn guarded(pool: SqlitePoolOptions) -> SqlitePoolOptions {
    pool.after_connect(|connection, _| Box::pin(guard(connection)))
        // A file does not go away like a server.
        .test_before_acquire(false)
        // The driver's own count costs no statement.
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
        .after_release(|connection, _| {
            Box::pin(async {
                // Waits for a queued rollback, so the count is final.
                guard(connection).await?;
                Ok(!connection.is_in_transaction())
            })
        })
}

/// No room for the file, its log or its index.
pub fn is_full(error: &(dyn DatabaseError + 'static)) -> bool {
    error.try_downcast_ref::<SqliteError>().is_some()
        && error
            .code()
            .is_some_and(|code| FULL.contains(&code.as_ref()))
}

/// Explains the error to operators: SQLite reports a full disk as an I/O error at the opening.
pub fn explain(error: &Error) -> String {
    if error.as_database_error().is_some_and(is_full) {
        return format!("{error}: the disk is full, free some space");
    }
    error.to_string()
}

/// SQLite had ended the transaction by itself. Nothing of it is kept; it may succeed if it is started again.
pub fn is_rolled_back(error: &(dyn DatabaseError + 'static)) -> bool {
    if error.try_downcast_ref::<SqliteError>().is_none() {
        return false;
    }
    let code = error.code();
    code.as_deref() == Some(REFUSED_COMMIT)
        || (code.as_deref() == Some(ERROR) && error.message().contains(NO_TRANSACTION))
}

/// A second call resets it.
async fn guard(connection: &mut SqliteConnection) -> Result<(), Error> {
    let rolled_back = Arc::new(AtomicBool::new(false));
    let noting = Arc::clone(&rolled_back);
    let mut handle = connection.lock_handle().await?;
    handle.set_rollback_hook(move || noting.store(true, Ordering::Release));
    handle.set_commit_hook(move || !rolled_back.load(Ordering::Acquire));
    Ok(())
}
