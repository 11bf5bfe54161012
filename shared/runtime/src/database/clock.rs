//! The database's own clock, in Unix milliseconds: one for all replicas of a service.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

/// The expression for the time, to be written into a statement.
pub fn now_sql(db: &impl ConnectionTrait) -> &'static str {
    match db.get_database_backend() {
        DbBackend::Sqlite => "cast(unixepoch('subsec') * 1000 as integer)",
        _ => "(extract(epoch from clock_timestamp()) * 1000)::bigint",
    }
}

/// The time.
///
/// # Errors
/// Where the database is away.
pub async fn now_ms(db: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let sql = format!("SELECT {} AS now_ms", now_sql(db));
    let row = db
        .query_one_raw(Statement::from_string(db.get_database_backend(), sql))
        .await?;
    row.ok_or_else(|| DbErr::Type("the clock answers nothing".to_owned()))?
        .try_get("", "now_ms")
}
