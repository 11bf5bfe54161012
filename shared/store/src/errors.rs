//! Classifies database errors: unavailable, conflict, duplicate, refused content, or a bug.
//!
//! [`class`] is the only classifier, for callers and for consumers.

use std::borrow::Cow;

use sea_orm::sqlx;
use sea_orm::sqlx::error::DatabaseError;
use sea_orm::{DbErr, RuntimeErr};

use crate::guarded;

// Primary result codes of SQLite.
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READONLY: u32 = 8;
const IOERR: u32 = 10;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;
const TOOBIG: u32 = 18;
const CONSTRAINT: u32 = 19;
const MISMATCH: u32 = 20;
/// A trigger has refused the statement. All triggers here guard a uniqueness that no index can.
const TRIGGER: &str = "1811";

/// The text of the [`DbErr::Custom`] that refuses the commit after a failed statement.
pub(crate) const AFTER_FAILURE: &str =
    "a statement of the transaction failed or was cancelled, so nothing of it is kept";

/// The kinds of database errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The database is unreachable or cannot work at the moment: the same call may succeed later.
    Unavailable,
    /// The disk under the database is full. Nothing of the transaction is kept, and it succeeds once there is room.
    Full,
    /// A deadlock or a failed serialisation ended the transaction. The same transaction may succeed if it is started
    /// again.
    Conflict,
    /// A unique value exists already.
    Duplicate,
    /// The statement was refused for its content, and would be refused each time.
    Content,
    /// Refused only because an earlier statement of the transaction had failed.
    AfterFailure,
    /// A bug, a missing right, or a statement that took too long.
    Other,
}

/// The class of `error`.
pub fn class(error: &DbErr) -> Class {
    match error {
        DbErr::Custom(text) if text == AFTER_FAILURE => Class::AfterFailure,
        // Opening a connection on a full disk fails with Full. All other causes mean that there is no connection: a
        // proxy in front of a dead server may answer anything, and a rotated password is no bug of the statement.
        DbErr::Conn(RuntimeErr::SqlxError(error)) if of_driver(error) == Class::Full => Class::Full,
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Class::Unavailable,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            of_driver(error)
        }
        _ => Class::Other,
    }
}

/// Whether the same call may succeed later: [`Class::Unavailable`] or [`Class::Full`]. Services answer `UNAVAILABLE`,
/// consumers pause.
pub fn is_unavailable(error: &DbErr) -> bool {
    matches!(class(error), Class::Unavailable | Class::Full)
}

/// Whether the same transaction may succeed if it is repeated: as [`is_unavailable`], or [`Class::Conflict`].
pub fn is_transient(error: &DbErr) -> bool {
    is_unavailable(error) || is_conflict(error)
}

/// [`Class::Full`].
pub fn is_full(error: &DbErr) -> bool {
    class(error) == Class::Full
}

/// [`Class::Conflict`].
pub fn is_conflict(error: &DbErr) -> bool {
    class(error) == Class::Conflict
}

/// Whether a text holds a character that PostgreSQL does not store, which is NUL: part of [`Class::Content`].
pub fn is_unstorable_text(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) =
        error
    else {
        return false;
    };
    let database = error.as_database_error();
    let code = database
        .filter(|error| !is_sqlite(*error))
        .and_then(DatabaseError::code);
    code.is_some_and(|code| code == "22021")
}

/// [`Class::Duplicate`].
pub fn is_unique_violation(error: &DbErr) -> bool {
    class(error) == Class::Duplicate
}

/// The duplicate: on PostgreSQL the constraint's name (`users_email_key`), on SQLite the columns (`users.email`). For
/// tables with more than one constraint.
pub fn unique_violation(error: &DbErr) -> Option<String> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) =
        error
    else {
        return None;
    };
    let database = error.as_database_error()?;
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

/// Whether SQLite ended the transaction, or refused its commit. Nothing of it is kept.
pub(crate) fn is_rolled_back(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) =
        error
    else {
        return false;
    };
    error
        .as_database_error()
        .is_some_and(guarded::is_rolled_back)
}

/// Whether the database is reachable but accepts no writes: a full disk, an I/O error, a read-only file or server.
pub(crate) fn is_unwritable(error: &sqlx::Error) -> bool {
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

/// Whether the only problem is that another connection holds the file.
pub(crate) fn is_sqlite_lock(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else {
        return false;
    };
    let code = error.code().and_then(|code| primary(&code));
    is_sqlite(error) && matches!(code, Some(BUSY | LOCKED))
}

pub(crate) fn of_driver(error: &sqlx::Error) -> Class {
    let Some(database) = error.as_database_error() else {
        return without_answer(error);
    };
    let code = database.code().unwrap_or(Cow::Borrowed(""));
    if is_sqlite(database) {
        of_sqlite(database, &code)
    } else {
        of_postgres(&code)
    }
}

/// Not an answer of the database: the connection broke, or there was none.
fn without_answer(error: &sqlx::Error) -> Class {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Class::Unavailable,
        _ => Class::Other,
    }
}

fn is_sqlite(error: &(dyn DatabaseError + 'static)) -> bool {
    error
        .try_downcast_ref::<sqlx::sqlite::SqliteError>()
        .is_some()
}

/// SQLite has one writer at a time. Another connection waits for the lock, so a lock is no conflict.
fn of_sqlite(error: &(dyn DatabaseError + 'static), code: &str) -> Class {
    if guarded::is_full(error) {
        return Class::Full;
    }
    if guarded::is_rolled_back(error) {
        return Class::Unavailable;
    }
    if error.is_unique_violation() || code == TRIGGER {
        return Class::Duplicate;
    }
    of_sqlite_code(code)
}

fn of_sqlite_code(code: &str) -> Class {
    match primary(code) {
        Some(BUSY | LOCKED | READONLY | IOERR | FULL | CANTOPEN) => Class::Unavailable,
        Some(TOOBIG | CONSTRAINT | MISMATCH) => Class::Content,
        _ => Class::Other,
    }
}

/// SQLSTATE, appendix A of PostgreSQL's manual. A cancelled statement (57014, time-out) is not unavailable, because it
/// may take too long each time.
fn of_postgres(code: &str) -> Class {
    match code {
        "53100" => Class::Full,
        "23505" => Class::Duplicate,
        "25P02" => Class::AfterFailure,
        // A standby accepts no writes before its promotion.
        "25006" => Class::Unavailable,
        // `lock_timeout` expired.
        "55P03" => Class::Conflict,
        // A connection; connections, memory or disk; a shutdown or start; the server's disk or files.
        _ if has_class(code, &["08", "53", "57P", "58"]) => Class::Unavailable,
        _ if has_class(code, &["40"]) => Class::Conflict,
        // Data, constraints, limits.
        _ if has_class(code, &["22", "23", "54"]) => Class::Content,
        _ => Class::Other,
    }
}

fn has_class(code: &str, classes: &[&str]) -> bool {
    classes.iter().any(|class| code.starts_with(class))
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
    fn a_link_that_breaks_in_an_answer_is_unavailable() {
        let broken = query(sqlx::Error::Protocol("unexpected end".to_owned()));
        assert_eq!(class(&broken), Class::Unavailable);
    }

    #[test]
    fn the_classes_of_sqlstate() {
        for (expected, codes) in [
            (
                Class::Unavailable,
                &[
                    "57P01", "57P02", "57P03", "08006", "53300", "25006", "58030", "58000",
                ][..],
            ),
            (Class::Full, &["53100"]),
            (Class::Conflict, &["40001", "40P01", "40003", "55P03"]),
            (Class::Duplicate, &["23505"]),
            (Class::Content, &["22001", "23503", "54000"]),
            (Class::AfterFailure, &["25P02"]),
            (Class::Other, &["42P01", "57014", "04000", ""]),
        ] {
            for code in codes {
                assert_eq!(of_postgres(code), expected, "{code}");
            }
        }
    }

    #[test]
    fn the_classes_of_sqlite_in_all_their_variants() {
        for code in ["5", "261", "517", "6", "262", "13", "14"] {
            assert_eq!(of_sqlite_code(code), Class::Unavailable, "{code}");
        }
        for code in ["18", "19", "787", "20"] {
            assert_eq!(of_sqlite_code(code), Class::Content, "{code}");
        }
        for code in ["1", "busy"] {
            assert_eq!(of_sqlite_code(code), Class::Other, "{code}");
        }
    }
}
