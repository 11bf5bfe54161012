//! `signing_key`: the keys of access tokens, with encrypted private halves.

use runtime::auth::VerificationKey;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult};
use store::sql;

#[derive(Clone)]
pub struct StoredKey {
    pub key_id: String,
    pub sealed_private_key: Vec<u8>,
    pub signs_from_ms: i64,
    pub signs_until_ms: i64,
    pub expires_at_ms: i64,
    /// The number of announcements.
    pub version: i64,
}

/// If two replicas find a key missing, only one creates it.
pub async fn lock_all(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    // A SQLite writer is alone anyway.
    if db.get_database_backend() != DbBackend::Sqlite {
        db.execute_unprepared("LOCK TABLE signing_key IN SHARE ROW EXCLUSIVE MODE")
            .await?;
    }
    Ok(())
}

/// With tokens that are still accepted, oldest first.
pub async fn valid_at(db: &impl ConnectionTrait, now_ms: i64) -> Result<Vec<StoredKey>, DbErr> {
    let select =
        "SELECT key_id, sealed_private_key, signs_from_ms, signs_until_ms, expires_at_ms, version
        FROM signing_key WHERE expires_at_ms > $1 ORDER BY signs_from_ms";
    let rows = sql::query_all(db, select, [now_ms.into()]).await?;
    rows.iter().map(key).collect()
}

/// With the number of announcements.
pub async fn public_at(
    db: &impl ConnectionTrait,
    now_ms: i64,
) -> Result<Vec<(VerificationKey, i64)>, DbErr> {
    let select = "SELECT signing_key.key_id, public_key, expires_at_ms, version
        FROM signing_key JOIN angarium_verification_key AS known ON known.key_id = signing_key.key_id
        WHERE expires_at_ms > $1 ORDER BY signs_from_ms";
    let rows = sql::query_all(db, select, [now_ms.into()]).await?;
    rows.iter().map(public).collect()
}

pub async fn announced_between(
    db: &impl ConnectionTrait,
    from_ms: i64,
    until_ms: i64,
) -> Result<bool, DbErr> {
    let select = "SELECT key_id FROM angarium_verification_key
        WHERE announced_at BETWEEN {time of $1} AND {time of $2}";
    let row = sql::query_one(db, select, [from_ms.into(), until_ms.into()]).await?;
    Ok(row.is_some())
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

fn public(row: &QueryResult) -> Result<(VerificationKey, i64), DbErr> {
    let public_key: Vec<u8> = row.try_get("", "public_key")?;
    let public_key = public_key
        .try_into()
        .map_err(|_| DbErr::Type("angarium_verification_key.public_key is not a key".to_owned()))?;
    let key = VerificationKey {
        key_id: row.try_get("", "key_id")?,
        public_key,
        expires_at_ms: row.try_get("", "expires_at_ms")?,
    };
    Ok((key, row.try_get("", "version")?))
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
