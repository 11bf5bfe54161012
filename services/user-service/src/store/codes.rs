//! `mail_code`: digests of mail codes. A user has at most one code per purpose.

use mail_codes::Purpose;
use sea_orm::{ConnectionTrait, DbErr};
use store::sql;
use uuid::Uuid;

/// Replaces the previous code. It is valid for the address that it was sent to.
pub async fn replace(
    db: &impl ConnectionTrait,
    purpose: Purpose,
    user_id: Uuid,
    digest: &str,
    email_key: &str,
    expires_at_ms: i64,
) -> Result<(), DbErr> {
    sql::execute(
        db,
        "INSERT INTO mail_code (code_digest, purpose, user_id, email_key, expires_at_ms)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (user_id, purpose) DO UPDATE
         SET code_digest = excluded.code_digest, email_key = excluded.email_key, expires_at_ms = excluded.expires_at_ms",
        [
            digest.into(),
            name(purpose).into(),
            user_id.to_string().into(),
            email_key.into(),
            expires_at_ms.into(),
        ],
    )
    .await?;
    Ok(())
}

/// And the address that it was sent to; `None` for an invalid or expired code.
pub async fn find(
    db: &impl ConnectionTrait,
    purpose: Purpose,
    digest: &str,
    now_ms: i64,
) -> Result<Option<(Uuid, String)>, DbErr> {
    let row = sql::query_one(
        db,
        "SELECT user_id, email_key FROM mail_code
         WHERE code_digest = $1 AND purpose = $2 AND expires_at_ms > $3",
        [digest.into(), name(purpose).into(), now_ms.into()],
    )
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let user_id: String = row.try_get("", "user_id")?;
    Ok(Some((
        super::stored_id(&user_id)?,
        row.try_get("", "email_key")?,
    )))
}

pub async fn delete(
    db: &impl ConnectionTrait,
    purpose: Purpose,
    user_id: Uuid,
) -> Result<(), DbErr> {
    sql::execute(
        db,
        "DELETE FROM mail_code WHERE user_id = $1 AND purpose = $2",
        [user_id.to_string().into(), name(purpose).into()],
    )
    .await?;
    Ok(())
}

/// A code of now ends at `latest_ms` at the latest; a later end comes from a clock that was ahead.
pub async fn bring_back(
    db: &impl ConnectionTrait,
    purpose: Purpose,
    latest_ms: i64,
    skew_ms: i64,
) -> Result<u64, DbErr> {
    let update =
        "UPDATE mail_code SET expires_at_ms = $1 WHERE expires_at_ms > $1 + $2 AND purpose = $3";
    let values = [latest_ms.into(), skew_ms.into(), name(purpose).into()];
    sql::execute(db, update, values).await
}

pub async fn delete_expired(db: &impl ConnectionTrait, now_ms: i64) -> Result<u64, DbErr> {
    let delete = "DELETE FROM mail_code WHERE code_digest IN (
        SELECT code_digest FROM mail_code WHERE expires_at_ms <= $1 LIMIT 1000)";
    sql::execute(db, delete, [now_ms.into()]).await
}

fn name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::EmailVerification => "email_verification",
        Purpose::PasswordReset => "password_reset",
    }
}
