//! What a database error means to a caller: try again later, repeat the whole, taken already, or a bug.

use sea_orm::sqlx;
use sea_orm::{DbErr, RuntimeErr};

// Primary result codes of SQLite.
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READONLY: u32 = 8;
const IOERR: u32 = 10;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;

/// Whether the database is away or cannot work at the moment, so that the same call may succeed later. Services answer
/// `UNAVAILABLE`, consumers pause.
pub fn is_unavailable(error: &DbErr) -> bool {
    match error {
        // No connection to be had, whatever the reason: a proxy in front of a dead server answers anything, and a password
        // that was changed is no bug of the statement.
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        _ => driver_error(error).is_some_and(is_away),
    }
}

/// Whether the disk under the database is full. Nothing of the transaction is kept, and it succeeds once there is room.
pub fn is_full(error: &DbErr) -> bool {
    let Some(error) = driver_error(error).and_then(sqlx::Error::as_database_error) else {
        return false;
    };
    store::sqlite::is_full(error)
        || (!is_sqlite(error) && error.code().is_some_and(|code| code == "53100"))
}

/// Whether the database is reachable but takes no writes: a full disk, an I/O error, a read-only file or server.
pub(super) fn is_unwritable(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else {
        return false;
    };
    match error.code() {
        Some(code) if is_sqlite(error) => {
            matches!(primary(&code), Some(READONLY | IOERR | FULL | CANTOPEN))
        }
        Some(code) => ["25006", "53100", "58030"].contains(&code.as_ref()),
        None => false,
    }
}

/// Whether the transaction was given up for the sake of another one, by a deadlock or a failed serialisation, so that the same
/// one may succeed when it is begun again. Nothing of it is left.
pub fn is_conflict(error: &DbErr) -> bool {
    let Some(sqlx::Error::Database(error)) = driver_error(error) else {
        return false;
    };
    // SQLite has one writer at a time: whoever finds the file locked waits, and that is no conflict.
    !is_sqlite(error.as_ref()) && error.code().is_some_and(|code| is_postgres_conflict(&code))
}

/// Whether something that must be unique is there already.
pub fn is_unique_violation(error: &DbErr) -> bool {
    unique_violation(error).is_some()
}

/// What is there already: on PostgreSQL the constraint's name (`users_email_key`), on SQLite the columns
/// (`users.email`). For tables with more than one constraint.
pub fn unique_violation(error: &DbErr) -> Option<String> {
    let sqlx::Error::Database(database) = driver_error(error)? else {
        return None;
    };
    if !database.is_unique_violation() {
        return None;
    }
    let name = database.constraint().map(ToOwned::to_owned);
    let columns = || {
        let message = database.message();
        let (_, columns) = message.rsplit_once(": ").unwrap_or(("", message));
        columns.to_owned()
    };
    Some(name.unwrap_or_else(columns))
}

fn driver_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        // Opening a new connection may fail first on a full disk.
        DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error))
        | DbErr::Conn(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

pub(super) fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => match error.code() {
            Some(code) if is_sqlite(error.as_ref()) => {
                is_sqlite_pause(&code) || store::sqlite::is_rolled_back(error.as_ref())
            }
            Some(code) => is_postgres_pause(&code),
            None => false,
        },
        _ => false,
    }
}

fn is_sqlite(error: &dyn sqlx::error::DatabaseError) -> bool {
    error
        .try_downcast_ref::<sqlx::sqlite::SqliteError>()
        .is_some()
}

/// SQLSTATE, appendix A of PostgreSQL's manual.
fn is_postgres_pause(code: &str) -> bool {
    // 08: the connection; 53: out of connections, memory or disk; 57P: the server shuts down or starts; 58030: its disk
    // answers with errors.
    let classes = ["08", "53", "57P", "58030"];
    // A standby that has not been promoted yet takes no writes.
    let read_only = "25006";
    code == read_only || classes.iter().any(|class| code.starts_with(class))
}

/// Class 40, transaction rollback: serialisation failure, deadlock and their kin.
fn is_postgres_conflict(code: &str) -> bool {
    code.starts_with("40")
}

/// Whether another connection holds the file, and nothing worse.
pub(super) fn is_sqlite_lock(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    let code = error.code().and_then(|code| primary(&code));
    is_sqlite(error.as_ref()) && matches!(code, Some(BUSY | LOCKED))
}

fn is_sqlite_pause(code: &str) -> bool {
    matches!(
        primary(code),
        Some(BUSY | LOCKED | READONLY | IOERR | FULL | CANTOPEN)
    )
}

/// SQLite's primary result code stands in the lowest byte of the extended one.
fn primary(code: &str) -> Option<u32> {
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sea_orm::ConnAcquireErr;

    use super::*;

    fn query(error: sqlx::Error) -> DbErr {
        DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
    }

    #[test]
    fn a_lost_connection_and_a_full_pool_are_unavailable() {
        for error in [
            DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
            DbErr::Conn(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Protocol(
                "unexpected response from SSLRequest: 0x00".to_owned(),
            )))),
            query(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())),
            query(sqlx::Error::PoolTimedOut),
            query(sqlx::Error::WorkerCrashed),
        ] {
            assert!(is_unavailable(&error), "{error}");
        }
    }

    #[test]
    fn a_bug_is_not_unavailable() {
        for error in [
            query(sqlx::Error::RowNotFound),
            query(sqlx::Error::ColumnNotFound("email".to_owned())),
            DbErr::Custom("x".to_owned()),
            DbErr::RecordNotFound("x".to_owned()),
        ] {
            assert!(!is_unavailable(&error), "{error}");
            assert!(!is_unique_violation(&error), "{error}");
        }
    }

    #[test]
    fn a_server_that_goes_down_or_is_full_is_a_pause_and_a_lost_race_a_conflict() {
        for code in [
            "57P01", "57P02", "57P03", "08006", "53300", "53100", "25006", "58030",
        ] {
            assert!(is_postgres_pause(code), "{code}");
        }
        for code in ["23505", "42P01", "40001", "57014", "22001"] {
            assert!(!is_postgres_pause(code), "{code}");
        }
        for code in ["40001", "40P01", "40003"] {
            assert!(is_postgres_conflict(code), "{code}");
        }
        for code in ["23505", "08006", "57P01", "04000"] {
            assert!(!is_postgres_conflict(code), "{code}");
        }
    }

    #[test]
    fn a_busy_file_is_a_pause_in_all_its_variants() {
        for code in ["5", "261", "517", "6", "262", "13", "14"] {
            assert!(is_sqlite_pause(code), "{code}");
        }
        for code in ["1", "19", "1555", "2067", "787", "busy"] {
            assert!(!is_sqlite_pause(code), "{code}");
        }
    }
}
