//! The classes of database errors, and the class of each code of PostgreSQL and SQLite.
//!
//! A new code is added here only; the callers know classes.

use std::borrow::Cow;

use sea_orm::sqlx;
use sea_orm::sqlx::error::DatabaseError;

use crate::guarded;

/// The kinds of database errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Unreachable, or unable to work at the moment: the same call may succeed later.
    Unavailable,
    /// The disk is full. Nothing of the transaction is kept, and it succeeds once there is room.
    Full,
    /// A deadlock or a failed serialisation: the same transaction may succeed if it is started again.
    Conflict,
    /// A unique value exists already.
    Duplicate,
    /// Refused for its content, each time.
    Content,
    /// Refused only because an earlier statement of the transaction had failed.
    AfterFailure,
    /// A bug, a missing right, or a statement that took too long.
    Other,
}

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
/// All triggers here guard a uniqueness that no index can.
const TRIGGER: &str = "1811";

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

pub(super) fn is_sqlite(error: &(dyn DatabaseError + 'static)) -> bool {
    error
        .try_downcast_ref::<sqlx::sqlite::SqliteError>()
        .is_some()
}

/// Other writers wait for the lock, so it is no conflict.
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

/// SQLSTATE, appendix A of PostgreSQL's manual. A cancelled statement (57014, time-out) is not unavailable: it may take
/// too long each time.
fn of_postgres(code: &str) -> Class {
    match code {
        "53100" => Class::Full,
        "23505" => Class::Duplicate,
        "25P02" => Class::AfterFailure,
        // A standby, before its promotion.
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

fn primary(code: &str) -> Option<u32> {
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

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
