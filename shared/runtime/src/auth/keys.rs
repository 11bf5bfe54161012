//! The table `angarium_verification_key`: the public keys that a service has heard of, shared by its replicas.
//!
//! Each service has it in its own database, filled by the event that tells of a key. Nothing in it is secret.

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};
use store::sql;

/// An Ed25519 public key.
pub const KEY_BYTES: usize = 32;

/// By which tokens are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationKey {
    /// As tokens name it.
    pub key_id: String,
    /// The public key.
    pub public_key: [u8; KEY_BYTES],
    /// From when on no token of it is accepted.
    pub expires_at_ms: i64,
}

/// Keeps `key`. A key that is there already gets the new time of expiry and nothing else: whoever can tell of keys cannot put
/// another one in the place of one that is known.
///
/// # Errors
/// Where the database refuses.
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

/// As [`learn`], from an announcement that the issuer made at `announced_at_ms`. An announcement names all keys that sign by
/// then, so no other key has signed an older token. The last announcement that came counts, also if an earlier one has a later
/// time: a wrong clock wrote that one.
///
/// # Errors
/// Where the database refuses.
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

/// The query, with the words of [`store::sql`], for the wait before this service requests the keys: null (never) if it has a valid key, zero (now) if it has none.
pub fn missing_in_ms() -> &'static str {
    "SELECT CASE WHEN EXISTS (SELECT 1 FROM angarium_verification_key WHERE expires_at > {time}) THEN NULL
     ELSE cast(0 as bigint) END"
}

/// All keys, also those that have expired, each with the time of its last announcement.
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
        .map_err(|_| DbErr::Type("angarium_verification_key.public_key holds no key".to_owned()))?;
    Ok(VerificationKey {
        key_id: row.try_get("", "key_id")?,
        public_key,
        expires_at_ms: row.try_get("", "expires_at_ms")?,
    })
}
