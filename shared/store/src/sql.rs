//! Statements with one text for both stores. The few words that differ are filled in.
//!
//! Parameters are always bound. The time is the database's own, so all replicas of a service share one clock.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};

use crate::clock;

/// Executes `sql` and returns how many rows it changed. In it `$1`, `$2` … are `values`, and `{now}`, `{skip_locked}`, `{for_update}`,
/// `IN {list $1}` and `NOT IN {texts $2}` differ by store.
///
/// # Errors
/// Where the database refuses or does not answer in time.
pub async fn execute(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, DbErr> {
    let done = db.execute_raw(statement(db, sql, values)).await?;
    Ok(done.rows_affected())
}

/// As [`execute`], and returns all rows.
///
/// # Errors
/// As [`execute`].
pub async fn query_all(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<QueryResult>, DbErr> {
    db.query_all_raw(statement(db, sql, values)).await
}

/// As [`execute`], and returns the first row, if there is any.
///
/// # Errors
/// As [`execute`].
pub async fn query_one(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<QueryResult>, DbErr> {
    db.query_one_raw(statement(db, sql, values)).await
}

/// A list as one bound parameter, to be used as `IN {list $1}`: the statement's text, and so its plan, stays the same
/// whatever the list's length.
pub fn list(numbers: impl IntoIterator<Item = i64>) -> Value {
    let numbers: Vec<String> = numbers
        .into_iter()
        .map(|number| number.to_string())
        .collect();
    format!("[{}]", numbers.join(",")).into()
}

/// As [`list`], of texts, to be used as `NOT IN {texts $2}`.
pub fn texts(texts: impl IntoIterator<Item = String>) -> Value {
    serde_json::Value::from_iter(texts).to_string().into()
}

/// A text that is part of the statement, for one that takes no parameters. Of the program's own, never of a sender's.
pub fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The statement as the store of `db` understands it.
pub fn statement(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    let now = clock::now_sql(db);
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
            // An array, because PostgreSQL plans a subquery of unknown size as a join with the whole table.
            (
                "IN {list $1}",
                "= ANY (ARRAY(SELECT value::bigint FROM json_array_elements_text($1::json)))",
            ),
            (
                "NOT IN {texts $2}",
                "<> ALL (ARRAY(SELECT json_array_elements_text($2::json)))",
            ),
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

/// Whether the database is a SQLite file.
pub fn is_sqlite(db: &impl ConnectionTrait) -> bool {
    db.get_database_backend() == DbBackend::Sqlite
}
