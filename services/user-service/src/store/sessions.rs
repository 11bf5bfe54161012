//! `session` and `refresh_token`: who is logged in, and by which token each session goes on.
//!
//! A used token stays until its session ends: that is how its second use is recognised.

use sea_orm::{ConnectionTrait, DbErr};
use store::sql;
use uuid::Uuid;

/// A refresh token that is known, and the session that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownToken {
    pub session_id: String,
    pub user_id: Uuid,
    pub is_used: bool,
    pub expires_at_ms: i64,
    pub session_expires_at_ms: i64,
}

pub async fn insert_session(
    db: &impl ConnectionTrait,
    session_id: &str,
    user_id: Uuid,
    expires_at_ms: i64,
) -> Result<(), DbErr> {
    sql::execute(
        db,
        "INSERT INTO session (session_id, user_id, expires_at_ms) VALUES ($1, $2, $3)",
        [
            session_id.into(),
            user_id.to_string().into(),
            expires_at_ms.into(),
        ],
    )
    .await?;
    Ok(())
}

pub async fn insert_token(
    db: &impl ConnectionTrait,
    digest: &str,
    session_id: &str,
    expires_at_ms: i64,
) -> Result<(), DbErr> {
    sql::execute(
        db,
        "INSERT INTO refresh_token (token_digest, session_id, expires_at_ms, is_used)
         VALUES ($1, $2, $3, false)",
        [digest.into(), session_id.into(), expires_at_ms.into()],
    )
    .await?;
    Ok(())
}

/// The token, and its session locked until the transaction ends: of two who use it at once, one is the second.
///
/// The session and not the token, because whoever ends a session locks it before its tokens: who locks the token first and
/// then needs the session waits for one who waits for the token.
pub async fn lock_token(
    db: &impl ConnectionTrait,
    digest: &str,
) -> Result<Option<KnownToken>, DbErr> {
    let select = "SELECT session_id, user_id, expires_at_ms FROM session
        WHERE session_id = (SELECT session_id FROM refresh_token WHERE token_digest = $1) {for update}";
    let Some(session) = sql::query_one(db, select, [digest.into()]).await? else {
        return Ok(None);
    };
    // Read only now: whoever had the session before may have used the token.
    let select = "SELECT expires_at_ms, is_used FROM refresh_token WHERE token_digest = $1";
    let Some(token) = sql::query_one(db, select, [digest.into()]).await? else {
        return Ok(None);
    };
    let user_id: String = session.try_get("", "user_id")?;
    Ok(Some(KnownToken {
        session_id: session.try_get("", "session_id")?,
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

/// Ends a session, with all its tokens.
pub async fn delete_session(db: &impl ConnectionTrait, session_id: &str) -> Result<(), DbErr> {
    let delete = "DELETE FROM session WHERE session_id = $1";
    sql::execute(db, delete, [session_id.into()]).await?;
    Ok(())
}

/// Ends all sessions of a user, and returns how many there were.
pub async fn delete_of_user(db: &impl ConnectionTrait, user_id: Uuid) -> Result<u64, DbErr> {
    let delete = "DELETE FROM session WHERE user_id = $1";
    sql::execute(db, delete, [user_id.to_string().into()]).await
}

/// A session that begins now ends at `latest_ms` at the latest. A session that ends later began while the clock was ahead. Its
/// tokens end with it.
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
