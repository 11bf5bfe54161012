//! `session` and `refresh_token`: sessions, and the token that continues each of them.
//!
//! A used token stays until its session ends, so that its second use is detected.

use sea_orm::{ConnectionTrait, DbErr};
use store::sql;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownToken {
    pub session_id: Uuid,
    pub user_id: Uuid,
    pub is_used: bool,
    pub expires_at_ms: i64,
    pub session_expires_at_ms: i64,
}

/// As its user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: Uuid,
    /// `None` if the previous release wrote it.
    pub created_at_ms: Option<i64>,
    pub last_used_at_ms: Option<i64>,
    pub client_address: Option<String>,
    pub expires_at_ms: i64,
}

pub async fn insert_session(
    db: &impl ConnectionTrait,
    session_id: Uuid,
    user_id: Uuid,
    (now_ms, expires_at_ms): (i64, i64),
    client_address: &str,
) -> Result<(), DbErr> {
    sql::execute(
        db,
        "INSERT INTO session (session_id, user_id, expires_at_ms, created_at_ms, last_used_at_ms, client_address)
         VALUES ($1, $2, $3, $4, $4, $5)",
        [
            session_id.to_string().into(),
            user_id.to_string().into(),
            expires_at_ms.into(),
            now_ms.into(),
            client_address.into(),
        ],
    )
    .await?;
    Ok(())
}

pub async fn touch(
    db: &impl ConnectionTrait,
    session_id: Uuid,
    now_ms: i64,
    client_address: &str,
) -> Result<(), DbErr> {
    let update =
        "UPDATE session SET last_used_at_ms = $2, client_address = $3 WHERE session_id = $1";
    let values = [
        session_id.to_string().into(),
        now_ms.into(),
        client_address.into(),
    ];
    sql::execute(db, update, values).await?;
    Ok(())
}

/// Locked, so it does not end before the transaction.
pub async fn lock_live(
    db: &impl ConnectionTrait,
    session_id: Uuid,
    user_id: Uuid,
    now_ms: i64,
) -> Result<bool, DbErr> {
    let select = "SELECT session_id FROM session
        WHERE session_id = $1 AND user_id = $2 AND expires_at_ms > $3 {for update}";
    let values = [
        session_id.to_string().into(),
        user_id.to_string().into(),
        now_ms.into(),
    ];
    Ok(sql::query_one(db, select, values).await?.is_some())
}

/// Unexpired, newest first: `limit` of those before `before`.
pub async fn list_of_user(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    before: Option<Uuid>,
    limit: u64,
    now_ms: i64,
) -> Result<Vec<Session>, DbErr> {
    let select = "SELECT session_id, created_at_ms, last_used_at_ms, client_address, expires_at_ms FROM session
        WHERE user_id = $1 AND expires_at_ms > $2 AND session_id < $3 ORDER BY session_id DESC LIMIT $4";
    let values = [
        user_id.to_string().into(),
        now_ms.into(),
        before.unwrap_or(Uuid::max()).to_string().into(),
        i64::try_from(limit).unwrap_or(i64::MAX).into(),
    ];
    let rows = sql::query_all(db, select, values).await?;
    let read = |row: &sea_orm::QueryResult| {
        let id: String = row.try_get("", "session_id")?;
        Ok(Session {
            id: super::stored_id(&id)?,
            created_at_ms: row.try_get("", "created_at_ms")?,
            last_used_at_ms: row.try_get("", "last_used_at_ms")?,
            client_address: row.try_get("", "client_address")?,
            expires_at_ms: row.try_get("", "expires_at_ms")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Returns whether it was the user's.
pub async fn delete_own(
    db: &impl ConnectionTrait,
    session_id: Uuid,
    user_id: Uuid,
) -> Result<bool, DbErr> {
    let delete = "DELETE FROM session WHERE session_id = $1 AND user_id = $2";
    let values = [session_id.to_string().into(), user_id.to_string().into()];
    Ok(sql::execute(db, delete, values).await? > 0)
}

pub async fn insert_token(
    db: &impl ConnectionTrait,
    digest: &str,
    session_id: Uuid,
    expires_at_ms: i64,
) -> Result<(), DbErr> {
    sql::execute(
        db,
        "INSERT INTO refresh_token (token_digest, session_id, expires_at_ms, is_used)
         VALUES ($1, $2, $3, false)",
        [
            digest.into(),
            session_id.to_string().into(),
            expires_at_ms.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Of two concurrent uses, one is the second.
///
/// Locks the session, not the token: ending a session locks it before its tokens, so the other order would deadlock.
pub async fn lock_token(
    db: &impl ConnectionTrait,
    digest: &str,
) -> Result<Option<KnownToken>, DbErr> {
    let select = "SELECT session_id, user_id, expires_at_ms FROM session
        WHERE session_id = (SELECT session_id FROM refresh_token WHERE token_digest = $1) {for update}";
    let Some(session) = sql::query_one(db, select, [digest.into()]).await? else {
        return Ok(None);
    };
    // After the lock: another transaction may have used the token before.
    let select = "SELECT expires_at_ms, is_used FROM refresh_token WHERE token_digest = $1";
    let Some(token) = sql::query_one(db, select, [digest.into()]).await? else {
        return Ok(None);
    };
    let user_id: String = session.try_get("", "user_id")?;
    let session_id: String = session.try_get("", "session_id")?;
    Ok(Some(KnownToken {
        session_id: super::stored_id(&session_id)?,
        user_id: super::stored_id(&user_id)?,
        is_used: token.try_get("", "is_used")?,
        expires_at_ms: token.try_get("", "expires_at_ms")?,
        session_expires_at_ms: session.try_get("", "expires_at_ms")?,
    }))
}

pub async fn mark_used(db: &impl ConnectionTrait, digest: &str) -> Result<(), DbErr> {
    let update = "UPDATE refresh_token SET is_used = true WHERE token_digest = $1";
    sql::execute(db, update, [digest.into()]).await?;
    Ok(())
}

/// With all its tokens.
pub async fn delete_session(db: &impl ConnectionTrait, session_id: Uuid) -> Result<(), DbErr> {
    let delete = "DELETE FROM session WHERE session_id = $1";
    sql::execute(db, delete, [session_id.to_string().into()]).await?;
    Ok(())
}

pub async fn delete_of_user(db: &impl ConnectionTrait, user_id: Uuid) -> Result<u64, DbErr> {
    let delete = "DELETE FROM session WHERE user_id = $1";
    sql::execute(db, delete, [user_id.to_string().into()]).await
}

/// A session of now ends at `latest_ms` at the latest; a later end comes from a clock that was ahead. Its tokens end
/// with it.
pub async fn bring_back(
    db: &impl ConnectionTrait,
    latest_ms: i64,
    skew_ms: i64,
) -> Result<u64, DbErr> {
    let update = "UPDATE session SET expires_at_ms = $1 WHERE expires_at_ms > $1 + $2";
    sql::execute(db, update, [latest_ms.into(), skew_ms.into()]).await
}

pub async fn delete_expired(db: &impl ConnectionTrait, now_ms: i64) -> Result<u64, DbErr> {
    let delete = "DELETE FROM session WHERE session_id IN (
        SELECT session_id FROM session WHERE expires_at_ms <= $1 LIMIT 1000)";
    sql::execute(db, delete, [now_ms.into()]).await
}
