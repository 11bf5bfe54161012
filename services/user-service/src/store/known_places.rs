//! `known_place`: the places of a user's logins, as digests.

use sea_orm::{ConnectionTrait, DbErr};
use store::sql;
use uuid::Uuid;

/// Before a login there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The user had no login before.
    pub is_first_login: bool,
    pub is_known: bool,
}

/// Per user.
const MOST_PLACES: i64 = 100;

/// A place is known if its last login is not older than `since_ms`.
pub async fn find(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    digest: &str,
    since_ms: i64,
) -> Result<Known, DbErr> {
    let select = "SELECT
            (SELECT count(first_login_at_ms) FROM users WHERE user_id = $1) AS logins,
            (SELECT count(place_digest) FROM known_place
             WHERE user_id = $1 AND place_digest = $2 AND last_login_at_ms > $3) AS places";
    let values = [user_id.to_string().into(), digest.into(), since_ms.into()];
    let row = sql::query_one(db, select, values).await?;
    let row = row.ok_or_else(|| service::unreadable("known_place"))?;
    Ok(Known {
        is_first_login: row.try_get::<i64>("", "logins")? == 0,
        is_known: row.try_get::<i64>("", "places")? > 0,
    })
}

pub async fn learn(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    digest: &str,
    now_ms: i64,
) -> Result<(), DbErr> {
    let insert = "INSERT INTO known_place (user_id, place_digest, last_login_at_ms) VALUES ($1, $2, $3)
        ON CONFLICT (user_id, place_digest) DO UPDATE SET last_login_at_ms = excluded.last_login_at_ms";
    let values = [user_id.to_string().into(), digest.into(), now_ms.into()];
    sql::execute(db, insert, values).await?;
    Ok(())
}

pub async fn record_first_login(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    now_ms: i64,
) -> Result<(), DbErr> {
    let update = "UPDATE users SET first_login_at_ms = $2 WHERE user_id = $1";
    let values = [user_id.to_string().into(), now_ms.into()];
    sql::execute(db, update, values).await?;
    Ok(())
}

/// Of a user with too many.
pub async fn forget_oldest(db: &impl ConnectionTrait, user_id: Uuid) -> Result<(), DbErr> {
    let delete = "DELETE FROM known_place WHERE user_id = $1 AND place_digest IN (
        SELECT place_digest FROM known_place WHERE user_id = $1
        ORDER BY last_login_at_ms DESC, place_digest LIMIT 1000 OFFSET $2)";
    let values = [user_id.to_string().into(), MOST_PLACES.into()];
    sql::execute(db, delete, values).await?;
    Ok(())
}

pub async fn delete_of_user(db: &impl ConnectionTrait, user_id: Uuid) -> Result<(), DbErr> {
    let delete = "DELETE FROM known_place WHERE user_id = $1";
    sql::execute(db, delete, [user_id.to_string().into()]).await?;
    Ok(())
}

/// Rows from a clock that was ahead expire in time.
pub async fn bring_back(db: &impl ConnectionTrait, now_ms: i64) -> Result<u64, DbErr> {
    let update = "UPDATE known_place SET last_login_at_ms = $1 WHERE last_login_at_ms > $1";
    sql::execute(db, update, [now_ms.into()]).await
}

pub async fn delete_older(db: &impl ConnectionTrait, than_ms: i64) -> Result<u64, DbErr> {
    let delete = "DELETE FROM known_place WHERE (user_id, place_digest) IN (
        SELECT user_id, place_digest FROM known_place WHERE last_login_at_ms <= $1 LIMIT 1000)";
    sql::execute(db, delete, [than_ms.into()]).await
}
