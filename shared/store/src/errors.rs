//! Classifies database errors. [`class`] is the only classifier.

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::{DbErr, RuntimeErr};

use crate::guarded;

mod codes;

pub use codes::Class;
use codes::is_sqlite;
pub(crate) use codes::{is_sqlite_lock, is_unwritable, of_driver};

pub(crate) const AFTER_FAILURE: &str =
    "a statement of the transaction failed or was cancelled, so nothing of it is kept";

/// The class of `error`.
pub fn class(error: &DbErr) -> Class {
    match error {
        DbErr::Custom(text) if text == AFTER_FAILURE => Class::AfterFailure,
        // Opening a connection on a full disk fails with Full. Other causes mean that there is no connection: a proxy
        // in front of a dead server may answer anything, and a rotated password is no bug of the statement.
        DbErr::Conn(RuntimeErr::SqlxError(error)) if of_driver(error) == Class::Full => Class::Full,
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Class::Unavailable,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            of_driver(error)
        }
        _ => Class::Other,
    }
}

/// The same call may succeed later: [`Class::Unavailable`] or [`Class::Full`]. Services answer `UNAVAILABLE`, consumers
/// pause.
pub fn is_unavailable(error: &DbErr) -> bool {
    matches!(class(error), Class::Unavailable | Class::Full)
}

/// A repeated transaction may succeed: as [`is_unavailable`], or [`Class::Conflict`].
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

/// A text holds NUL, which PostgreSQL does not store: part of [`Class::Content`].
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

/// The constraint's name on PostgreSQL (`users_email_key`), the columns on SQLite (`users.email`).
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

/// Nothing of the transaction is kept.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sea_orm::{ConnAcquireErr, sqlx};

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
}
