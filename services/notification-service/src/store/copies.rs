//! The copies of a mail, made by ResendNotification.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QuerySelect as _,
};
use uuid::Uuid;

use super::notification::{Column, Entity};
use super::pending::{is_pending, letter};
use super::stored_state;
use crate::notification::{Letter, State};

/// Locks a mail; returns its content and state.
pub async fn lock(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<(Letter, State)>, DbErr> {
    let row = Entity::find_by_id(id.to_string()).lock_exclusive();
    let Some(row) = row.one(db).await? else {
        return Ok(None);
    };
    let state = stored_state(&row.state)?;
    Ok(Some((letter(row)?, state)))
}

pub async fn count(db: &impl ConnectionTrait, original_id: Uuid) -> Result<u64, DbErr> {
    of(original_id).count(db).await
}

pub async fn any_pending(db: &impl ConnectionTrait, original_id: Uuid) -> Result<bool, DbErr> {
    let pending = of(original_id).filter(is_pending()).count(db).await?;
    Ok(pending > 0)
}

fn of(original_id: Uuid) -> sea_orm::Select<Entity> {
    Entity::find().filter(Column::OriginalId.eq(original_id.to_string()))
}
