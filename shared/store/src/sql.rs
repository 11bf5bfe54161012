//! Statements with one text for both stores. The few words that differ are in braces.
//!
//! Parameters are always bound. The time is the database's, so all replicas of a service share one clock.
//!
//! | word | meaning |
//! | --- | --- |
//! | `{now}` | the time in Unix milliseconds |
//! | `{time}`, `{time + $1}`, `{time - $1}` | the time as a column stores it, and that many milliseconds later or
//! earlier |
//! | `{time of $1}` | a column's value for a time in Unix milliseconds |
//! | `{ms column}` | a column's time in Unix milliseconds |
//! | `{uuid $1}`, `{text column}` | a column's value for a UUID's text, and its text |
//! | `{in numbers $1}`, `{not in numbers $1}`, `{not in texts $1}` | a comparison with a list of any length, see [`numbers`] |
//! | `{pairs $1}` | the rows of a list of pairs, see [`pairs`] |
//! | `{list $1: id text, version bigint}` | the rows of a list of objects, as a table `list` with these columns, see [`list`] |
//! | `{for update}`, `{skip locked}` | row locks, where there are any |
//!
//! PostgreSQL has `timestamptz` and `uuid` for times and ids; SQLite has Unix milliseconds and text.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};

use crate::words;

/// Returns the number of changed rows. `$1`, `$2` … are `values`; [the module](self) explains the words.
///
/// # Errors
/// If the database refuses or does not answer in time.
pub async fn execute(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, DbErr> {
    let done = db.execute_raw(statement(db, sql, values)).await?;
    Ok(done.rows_affected())
}

/// As [`execute`], but returns all rows.
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

/// As [`execute`], but returns the first row, if any.
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

/// The time in Unix milliseconds.
///
/// # Errors
/// If the database is unavailable.
pub async fn now_ms(db: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let row = query_one(db, "SELECT {now} AS now_ms", []).await?;
    row.ok_or_else(|| DbErr::Type("the query for the time returned no row".to_owned()))?
        .try_get("", "now_ms")
}

/// A list as one bound parameter, for `{in numbers $1}`: the text and plan are the same for every length.
pub fn numbers(numbers: impl IntoIterator<Item = i64>) -> Value {
    let numbers: Vec<String> = numbers
        .into_iter()
        .map(|number| number.to_string())
        .collect();
    format!("[{}]", numbers.join(",")).into()
}

/// As [`numbers`], for `{not in texts $1}`.
pub fn texts(texts: impl IntoIterator<Item = String>) -> Value {
    serde_json::Value::from_iter(texts.into_iter().map(without_nul))
        .to_string()
        .into()
}

/// As [`numbers`], for `(one, other) IN {pairs $1}`.
pub fn pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Value {
    let pairs = pairs
        .into_iter()
        .map(|(one, other)| vec![without_nul(one), without_nul(other)]);
    serde_json::Value::from_iter(pairs).to_string().into()
}

/// As [`numbers`], for `FROM {list $1: id text, version bigint}`. Each row has a value for each column.
pub fn list(rows: impl IntoIterator<Item = serde_json::Map<String, serde_json::Value>>) -> Value {
    let mut rows: Vec<_> = rows.into_iter().collect();
    let texts = rows.iter_mut().flat_map(serde_json::Map::values_mut);
    for text in texts {
        if let serde_json::Value::String(text) = text {
            *text = without_nul(std::mem::take(text));
        }
    }
    serde_json::Value::from_iter(rows).to_string().into()
}

/// A literal, for statements without parameters. Only for text of the program, never of a sender.
pub fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The statement in the dialect of `db`.
pub fn statement(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    let text = words::fill(sql, db.get_database_backend());
    let values = values.into_iter().map(storable);
    Statement::from_sql_and_values(db.get_database_backend(), text, values)
}

fn storable(value: Value) -> Value {
    match value {
        Value::String(Some(text)) => without_nul(text).into(),
        other => other,
    }
}

/// PostgreSQL's text cannot contain NUL, also not as an escape in JSON. A row that can never be written would block its
/// consumer forever.
fn without_nul(text: String) -> String {
    if text.contains('\0') {
        return text.replace('\0', "\u{fffd}");
    }
    text
}

/// Whether the database is a SQLite file.
pub fn is_sqlite(db: &impl ConnectionTrait) -> bool {
    db.get_database_backend() == DbBackend::Sqlite
}
