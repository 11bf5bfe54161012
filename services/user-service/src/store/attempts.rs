//! `login_attempt`: the failures of an account, in total and from known addresses.

use sea_orm::{ConnectionTrait, DbErr};
use store::sql;

use crate::throttle::failures::Attempts;

pub async fn exists(
    db: &impl ConnectionTrait,
    account: &str,
    address: &str,
) -> Result<bool, DbErr> {
    let select = "SELECT failures FROM login_attempt WHERE account = $1 AND address = $2";
    let row = sql::query_one(db, select, [account.into(), address.into()]).await?;
    Ok(row.is_some())
}

/// Inserts a new one if there is none.
pub async fn lock(
    db: &impl ConnectionTrait,
    account: &str,
    address: &str,
) -> Result<Attempts, DbErr> {
    sql::execute(
        db,
        "INSERT INTO login_attempt (account, address, failures, blocked_until_ms, last_at_ms)
         VALUES ($1, $2, 0, 0, 0) ON CONFLICT DO NOTHING",
        [account.into(), address.into()],
    )
    .await?;
    let select = "SELECT failures, blocked_until_ms, last_at_ms FROM login_attempt
        WHERE account = $1 AND address = $2 {for update}";
    let row = sql::query_one(db, select, [account.into(), address.into()]).await?;
    row.map_or(Ok(Attempts::default()), |row| {
        Ok(Attempts {
            failures: row.try_get("", "failures")?,
            blocked_until_ms: row.try_get("", "blocked_until_ms")?,
            last_at_ms: row.try_get("", "last_at_ms")?,
        })
    })
}

pub async fn write(
    db: &impl ConnectionTrait,
    account: &str,
    address: &str,
    attempts: Attempts,
) -> Result<(), DbErr> {
    sql::execute(
        db,
        "UPDATE login_attempt SET failures = $3, blocked_until_ms = $4, last_at_ms = $5
         WHERE account = $1 AND address = $2",
        [
            account.into(),
            address.into(),
            attempts.failures.into(),
            attempts.blocked_until_ms.into(),
            attempts.last_at_ms.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Rows from a clock that was ahead expire in time.
pub async fn bring_back(db: &impl ConnectionTrait, now_ms: i64) -> Result<u64, DbErr> {
    let update = "UPDATE login_attempt SET last_at_ms = $1 WHERE last_at_ms > $1";
    sql::execute(db, update, [now_ms.into()]).await
}

pub async fn delete_older(db: &impl ConnectionTrait, than_ms: i64) -> Result<u64, DbErr> {
    let delete = "DELETE FROM login_attempt WHERE (account, address) IN (
        SELECT account, address FROM login_attempt WHERE last_at_ms < $1 LIMIT 1000)";
    sql::execute(db, delete, [than_ms.into()]).await
}
