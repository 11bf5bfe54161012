//! Creates tables, indexes and views for both stores from one text.

use sea_orm::{ConnectionTrait as _, DbBackend, DbErr};
use sea_orm_migration::SchemaManager;

/// Executes `statements` in a migration. These words differ by store:
///
/// | word | PostgreSQL | SQLite |
/// | --- | --- | --- |
/// | `{sequence}` | a `bigint` that counts up, the primary key | the same |
/// | `{bytes}` | `bytea` | `blob` |
/// | `{time}` | `timestamptz` | `integer`: Unix milliseconds |
/// | `{uuid}` | `uuid` | `text` |
/// | `{readable at_ms}` | the time in column `at_ms` as `timestamptz` | as text |
///
/// # Errors
/// If the database refuses a statement.
pub async fn create(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    for statement in statements {
        let statement = fill(statement, backend);
        manager
            .get_connection()
            .execute_unprepared(&statement)
            .await?;
    }
    Ok(())
}

fn fill(statement: &str, backend: DbBackend) -> String {
    let [sequence, bytes, time, uuid] = match backend {
        DbBackend::Sqlite => [
            "integer PRIMARY KEY AUTOINCREMENT",
            "blob",
            "integer",
            "text",
        ],
        _ => [
            "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            "bytea",
            "timestamptz",
            "uuid",
        ],
    };
    let mut filled = statement
        .replace("{sequence}", sequence)
        .replace("{bytes}", bytes)
        .replace("{time}", time)
        .replace("{uuid}", uuid);
    while let Some((before, after)) = filled.split_once("{readable ") {
        let Some((column, after)) = after.split_once('}') else {
            break;
        };
        let readable = match backend {
            DbBackend::Sqlite => {
                format!("strftime('%Y-%m-%d %H:%M:%fZ', {column} / 1000.0, 'unixepoch')")
            }
            _ => format!("to_timestamp({column} / 1000.0)"),
        };
        filled = format!("{before}{readable}{after}");
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_readable_times_differ_by_store() {
        let view = "CREATE VIEW v AS SELECT {readable at_ms} AS at, {readable b_ms} AS b FROM t";
        assert_eq!(
            fill(view, DbBackend::Postgres),
            "CREATE VIEW v AS SELECT to_timestamp(at_ms / 1000.0) AS at, to_timestamp(b_ms / 1000.0) AS b FROM t"
        );
        let table = "CREATE TABLE t (id {uuid}, at {time}, body {bytes})";
        assert_eq!(
            fill(table, DbBackend::Sqlite),
            "CREATE TABLE t (id text, at integer, body blob)"
        );
    }
}
