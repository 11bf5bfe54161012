//! `signing_key`: the keys of access tokens, their private halves sealed.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult};

use super::sql;

/// One key, as it is kept.
#[derive(Clone)]
pub struct StoredKey {
    pub key_id: String,
    pub sealed_private_key: Vec<u8>,
    pub signs_from_ms: i64,
    pub signs_until_ms: i64,
    pub expires_at_ms: i64,
    /// How often it was announced.
    pub version: i64,
}

/// Keeps every other replica from looking at the keys until the transaction ends: of two that find one missing, one makes it.
pub async fn lock_all(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    // On SQLite who writes is alone anyway.
    if db.get_database_backend() != DbBackend::Sqlite {
        db.execute_unprepared("LOCK TABLE signing_key IN SHARE ROW EXCLUSIVE MODE")
            .await?;
    }
    Ok(())
}

/// The keys whose tokens are still accepted, oldest first.
pub async fn valid_at(db: &impl ConnectionTrait, now_ms: i64) -> Result<Vec<StoredKey>, DbErr> {
    let select =
        "SELECT key_id, sealed_private_key, signs_from_ms, signs_until_ms, expires_at_ms, version
        FROM signing_key WHERE expires_at_ms > $1 ORDER BY signs_from_ms";
    let rows = sql::all(db, select, [now_ms.into()]).await?;
    rows.iter().map(key).collect()
}

pub async fn insert(db: &impl ConnectionTrait, key: &StoredKey) -> Result<(), DbErr> {
    sql::execute(
        db,
        "INSERT INTO signing_key (key_id, sealed_private_key, signs_from_ms, signs_until_ms, expires_at_ms, version)
         VALUES ($1, $2, $3, $4, $5, 0)",
        [
            key.key_id.as_str().into(),
            key.sealed_private_key.clone().into(),
            key.signs_from_ms.into(),
            key.signs_until_ms.into(),
            key.expires_at_ms.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Counts one more announcement.
pub async fn write_version(
    db: &impl ConnectionTrait,
    key_id: &str,
    version: i64,
) -> Result<(), DbErr> {
    let update = "UPDATE signing_key SET version = $2 WHERE key_id = $1";
    sql::execute(db, update, [key_id.into(), version.into()]).await?;
    Ok(())
}

pub async fn delete_expired(db: &impl ConnectionTrait, now_ms: i64) -> Result<(), DbErr> {
    let delete = "DELETE FROM signing_key WHERE expires_at_ms <= $1";
    sql::execute(db, delete, [now_ms.into()]).await?;
    Ok(())
}

fn key(row: &QueryResult) -> Result<StoredKey, DbErr> {
    Ok(StoredKey {
        key_id: row.try_get("", "key_id")?,
        sealed_private_key: row.try_get("", "sealed_private_key")?,
        signs_from_ms: row.try_get("", "signs_from_ms")?,
        signs_until_ms: row.try_get("", "signs_until_ms")?,
        expires_at_ms: row.try_get("", "expires_at_ms")?,
        version: row.try_get("", "version")?,
    })
}
