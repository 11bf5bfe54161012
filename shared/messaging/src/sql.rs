//! The engine's statements: one text for both stores, with the few words that differ filled in.
//!
//! Raw rather than built, because each is on the hot path and is the point of its function. Parameters are always bound.
//! The time is the database's own, so that all replicas of a service share one clock.

use std::borrow::Cow;
use std::time::Duration;

use sea_orm::sqlx::Error;
use sea_orm::sqlx::error::DatabaseError;
use sea_orm::{ConnectionTrait, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, Value};
use store::sqlite;

use crate::faults;
use crate::store::is_sqlite;

/// How long an answer may take before the connection counts as lost. A link can go silent without an end, and then nothing
/// else would ever tell; no statement of the engine takes long.
const ANSWER: Duration = Duration::from_secs(15);

/// Undoing takes no time, and the end of its connection undoes a transaction as well.
pub(crate) const UNDONE: Duration = Duration::from_secs(5);

/// Executes `sql`, in which `$1`, `$2` … are `values` and `{now}`, `{skip_locked}`, `{for_update}`, `{list $1}`
/// and `{texts $2}` differ by store.
pub(crate) async fn execute(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<ExecResult, DbErr> {
    answered(db.execute_raw(statement(db, sql, values))).await
}

pub(crate) async fn query_all(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<QueryResult>, DbErr> {
    answered(db.query_all_raw(statement(db, sql, values))).await
}

pub(crate) async fn query_one(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<QueryResult>, DbErr> {
    answered(db.query_one_raw(statement(db, sql, values))).await
}

/// Waits for the database, but not for ever.
pub(crate) async fn answered<T>(
    answer: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, DbErr> {
    answered_within(ANSWER, answer).await
}

pub(crate) async fn answered_within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, DbErr> {
    tokio::time::timeout(limit, answer)
        .await
        .unwrap_or_else(|_| {
            let silence = format!("the database has not answered within {limit:?}");
            Err(DbErr::Conn(RuntimeErr::Internal(silence)))
        })
}

/// Whether the statement was refused only because one before it in its transaction had failed (PostgreSQL).
pub(crate) fn is_after_failure(error: &DbErr) -> bool {
    const IN_FAILED_SQL_TRANSACTION: &str = "25P02";
    code(error).is_some_and(|code| code == IN_FAILED_SQL_TRANSACTION)
}

/// Whether the statement was refused for what is in it, so that it will be each time: PostgreSQL's classes 22 (data), 23
/// (constraints) and 54 (limits); SQLite's CONSTRAINT, MISMATCH and TOOBIG.
pub(crate) fn is_of_the_statement(error: &DbErr) -> bool {
    let Some(code) = code(error) else {
        return false;
    };
    if is_rolled_back(error) {
        return false;
    }
    match code.parse::<u32>() {
        // SQLite: decimal, the primary code in the lowest byte. SQLSTATE has five characters.
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 18..=20),
        _ => ["22", "23", "54"]
            .iter()
            .any(|class| code.starts_with(class)),
    }
}

/// Whether the database was away, full or read-only, or has given the transaction up for the sake of another one: the same statement
/// may succeed once it is tried again. PostgreSQL's classes 08, 40, 53, 57P and 58, and 25006; SQLite's BUSY, LOCKED, READONLY,
/// IOERR, FULL and CANTOPEN, and its answers after it has ended a transaction for one of these. A statement that took too long (57014) is
/// not among them, because it may take too long each time.
pub(crate) fn is_of_the_store(error: &DbErr) -> bool {
    if is_rolled_back(error) {
        return true;
    }
    let error = match error {
        DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => return true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            error
        }
        _ => return false,
    };
    let Some(code) = error.as_database_error().and_then(DatabaseError::code) else {
        // What is no answer of the database's: the connection broke, or none was to be had.
        return matches!(
            **error,
            Error::Io(_)
                | Error::Tls(_)
                | Error::Protocol(_)
                | Error::PoolTimedOut
                | Error::PoolClosed
                | Error::WorkerCrashed
        );
    };
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 5 | 6 | 8 | 10 | 13 | 14),
        _ => ["08", "40", "53", "57P", "58", "25006"]
            .iter()
            .any(|class| code.starts_with(class)),
    }
}

/// Whether SQLite refused a BEGIN because there is a transaction already.
pub(crate) fn is_within_transaction(error: &DbErr) -> bool {
    database_error(error).is_some_and(sqlite::is_within_transaction)
}

/// Whether SQLite ended the transaction before the statement, as it does on a full disk.
fn is_rolled_back(error: &DbErr) -> bool {
    database_error(error).is_some_and(sqlite::is_rolled_back)
}

fn code(error: &DbErr) -> Option<Cow<'_, str>> {
    database_error(error).and_then(DatabaseError::code)
}

fn database_error(error: &DbErr) -> Option<&(dyn DatabaseError + 'static)> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) =
        error
    else {
        return None;
    };
    error.as_database_error()
}

/// A list as one bound parameter, to be used as `{list $1}`: the statement's text, and so its plan, stays the same
/// whatever the list's length.
pub(crate) fn list(numbers: impl IntoIterator<Item = i64>) -> Value {
    let numbers: Vec<String> = numbers
        .into_iter()
        .map(|number| number.to_string())
        .collect();
    format!("[{}]", numbers.join(",")).into()
}

/// As [`list`], of texts, to be used as `{texts $2}`.
pub(crate) fn texts(texts: impl IntoIterator<Item = String>) -> Value {
    serde_json::Value::from_iter(texts).to_string().into()
}

/// A text that is part of the statement, for one that takes no parameters. Of the program's own, never of a sender's.
pub(crate) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The expression for the current time on each store.
fn now(db: &impl ConnectionTrait) -> &'static str {
    match is_sqlite(db) {
        true => "cast(unixepoch('subsec') * 1000 as integer)",
        false => "(extract(epoch from statement_timestamp()) * 1000)::bigint",
    }
}

pub(crate) fn statement(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    let now = match faults::clock_ahead_ms() {
        0 => now(db).to_owned(),
        ahead_ms => format!("({} + {ahead_ms})", now(db)),
    };
    let words: &[(&str, &str)] = if is_sqlite(db) {
        &[
            ("{now}", &now),
            ("{for_update}", ""),
            ("{skip_locked}", ""),
            ("{list $1}", "(SELECT value FROM json_each($1))"),
            ("{texts $2}", "(SELECT value FROM json_each($2))"),
        ]
    } else {
        &[
            ("{now}", &now),
            ("{for_update}", "FOR UPDATE"),
            ("{skip_locked}", "FOR UPDATE SKIP LOCKED"),
            (
                "{list $1}",
                "(SELECT value::bigint FROM json_array_elements_text($1::json))",
            ),
            ("{texts $2}", "(SELECT json_array_elements_text($2::json))"),
        ]
    };
    let text = words.iter().fold(sql.to_owned(), |text, (word, meaning)| {
        text.replace(word, meaning)
    });
    let values = values.into_iter().map(storable);
    Statement::from_sql_and_values(db.get_database_backend(), text, values)
}

/// PostgreSQL's text holds every character but NUL. A sender can put one wherever it can put text, and a row that can never
/// be written would keep its consumer busy for ever.
fn storable(value: Value) -> Value {
    match value {
        Value::String(Some(text)) if text.contains('\0') => text.replace('\0', "\u{fffd}").into(),
        other => other,
    }
}
