//! A single value, read by plain SQL.

use sea_orm::{ConnectionTrait, Statement, TryGetable};

/// The value that `sql` selects: the first column of its only row.
///
/// # Panics
/// If the database refuses it, or there is no row or another type of value.
pub async fn value<T: TryGetable>(db: &impl ConnectionTrait, sql: &str) -> T {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await;
    let row = row.unwrap_or_else(|error| panic!("`{sql}`: {error}"));
    let value = row.expect("a row").try_get_by_index(0);
    value.unwrap_or_else(|error| panic!("`{sql}`: {error}"))
}
