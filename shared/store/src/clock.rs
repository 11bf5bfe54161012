//! The database's own clock, in Unix milliseconds: one for all replicas of a service.
//!
//! Within a statement it stands still, so an index can answer a comparison with it.

use sea_orm::DbBackend;

/// The time in Unix milliseconds, for statement builders. Statements in text use `{now}`, see [`sql`](crate::sql).
pub fn now_sql(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Sqlite => "cast(unixepoch('subsec') * 1000 as integer)",
        _ => "(extract(epoch from statement_timestamp()) * 1000)::bigint",
    }
}

/// In whole milliseconds on both stores, so that a time read in milliseconds equals its column.
pub(crate) fn time_sql(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Sqlite => now_sql(backend),
        _ => "date_trunc('milliseconds', statement_timestamp())",
    }
}
