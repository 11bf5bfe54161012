//! The table `angarium_verification_key` in each service's database: public keys from announcements, shared by the
//! replicas.

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};
use store::sql;

/// The length of an Ed25519 public key.
pub const KEY_BYTES: usize = 32;

/// A key that verifies tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationKey {
    /// The id in the header of tokens.
    pub key_id: String,
    /// The public key.
    pub public_key: [u8; KEY_BYTES],
    /// Its tokens are invalid from this time on.
    pub expires_at_ms: i64,
}

/// Stores `key`. An existing key only gets the new expiry: an attacker who can publish keys cannot replace it.
pub async fn learn(db: &impl ConnectionTrait, key: &VerificationKey) -> Result<(), DbErr> {
    let values: [Value; 3] = [
        key.key_id.as_str().into(),
        key.public_key.to_vec().into(),
        key.expires_at_ms.into(),
    ];
    sql::execute(
        db,
        "INSERT INTO angarium_verification_key (key_id, public_key, expires_at) VALUES ($1, $2, {time of $3})
         ON CONFLICT (key_id) DO UPDATE SET expires_at = excluded.expires_at",
        values,
    )
    .await?;
    Ok(())
}

/// As [`learn`], from an announcement made at `announced_at_ms`. It contains all keys that sign by then, so no other
/// key has signed an older token. The last arrived announcement counts, even if an earlier one has a later time: a
/// wrong clock wrote that one.
pub async fn hear(
    db: &impl ConnectionTrait,
    key: &VerificationKey,
    announced_at_ms: i64,
) -> Result<(), DbErr> {
    learn(db, key).await?;
    sql::execute(
        db,
        "UPDATE angarium_verification_key SET announced_at = {time of $2} WHERE key_id = $1",
        [key.key_id.as_str().into(), announced_at_ms.into()],
    )
    .await?;
    Ok(())
}

/// The query (see [`store::sql`]) for the wait before this service requests keys: null (never) with a valid key, zero
/// (now) without one.
pub fn missing_in_ms() -> &'static str {
    "SELECT CASE WHEN EXISTS (SELECT 1 FROM angarium_verification_key WHERE expires_at > {time}) THEN NULL
     ELSE cast(0 as bigint) END"
}

/// Includes expired ones; each with the time of its last announcement.
pub(super) async fn all(
    db: &impl ConnectionTrait,
) -> Result<Vec<(VerificationKey, Option<i64>)>, DbErr> {
    let select = "SELECT key_id, public_key, {ms expires_at} AS expires_at_ms, {ms announced_at} AS announced_at_ms
        FROM angarium_verification_key";
    let rows = sql::query_all(db, select, []).await?;
    let read = |row| Ok((key(row)?, row.try_get("", "announced_at_ms")?));
    rows.iter().map(read).collect()
}

fn key(row: &QueryResult) -> Result<VerificationKey, DbErr> {
    let public_key: Vec<u8> = row.try_get("", "public_key")?;
    let public_key = public_key
        .try_into()
        .map_err(|_| DbErr::Type("angarium_verification_key.public_key is not a key".to_owned()))?;
    Ok(VerificationKey {
        key_id: row.try_get("", "key_id")?,
        public_key,
        expires_at_ms: row.try_get("", "expires_at_ms")?,
    })
}
