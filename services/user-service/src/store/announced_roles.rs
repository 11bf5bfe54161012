//! `announced_role`: the role in the last `user.role_changed` of each user, except plain ones.

use runtime::auth::Role;
use sea_orm::{ConnectionTrait, DbErr};
use store::sql;
use uuid::Uuid;

pub async fn find(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Role, DbErr> {
    let select = "SELECT role FROM announced_role WHERE user_id = $1";
    let row = sql::query_one(db, select, [user_id.to_string().into()]).await?;
    let Some(row) = row else {
        return Ok(Role::User);
    };
    let role: String = row.try_get("", "role")?;
    Role::parse(&role).ok_or_else(|| service::unreadable("announced_role.role"))
}

pub async fn write(db: &impl ConnectionTrait, user_id: Uuid, role: Role) -> Result<(), DbErr> {
    if role == Role::User {
        return delete(db, user_id).await;
    }
    let insert = "INSERT INTO announced_role (user_id, role) VALUES ($1, $2)
        ON CONFLICT (user_id) DO UPDATE SET role = excluded.role";
    let values = [user_id.to_string().into(), role.as_str().into()];
    sql::execute(db, insert, values).await?;
    Ok(())
}

/// They are few: admins and operators.
pub async fn all(db: &impl ConnectionTrait) -> Result<Vec<Uuid>, DbErr> {
    let rows = sql::query_all(db, "SELECT user_id FROM announced_role", []).await?;
    let id = |row: &sea_orm::QueryResult| {
        let id: String = row.try_get("", "user_id")?;
        super::stored_id(&id)
    };
    rows.iter().map(id).collect()
}

pub async fn delete(db: &impl ConnectionTrait, user_id: Uuid) -> Result<(), DbErr> {
    let delete = "DELETE FROM announced_role WHERE user_id = $1";
    sql::execute(db, delete, [user_id.to_string().into()]).await?;
    Ok(())
}
