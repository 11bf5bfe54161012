//! The mail preferences of users.

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait, DbErr, EntityTrait as _, IntoActiveModel as _,
    QuerySelect as _,
};
use uuid::Uuid;

use super::preference::{Column, Entity, Model};
use crate::preferences::{Preferences, Wanted};

/// The user's preferences; the defaults if they were never changed.
pub async fn find(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Preferences, DbErr> {
    let row = Entity::find_by_id(user_id.to_string()).one(db).await?;
    Ok(of(user_id, row))
}

/// As [`find`], but locked until the transaction ends, because two concurrent changes would take the same version.
pub async fn lock(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Preferences, DbErr> {
    // A missing row cannot be locked, so insert it first.
    let row = row(&Preferences::unchanged(user_id)).into_active_model();
    Entity::insert(row)
        .on_conflict(OnConflict::column(Column::UserId).do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    let locked = Entity::find_by_id(user_id.to_string()).lock_exclusive();
    Ok(of(user_id, locked.one(db).await?))
}

/// Writes locked preferences.
pub async fn update(db: &impl ConnectionTrait, preferences: &Preferences) -> Result<(), DbErr> {
    let row = row(preferences).into_active_model().reset_all();
    Entity::update(row).exec(db).await?;
    Ok(())
}

pub async fn delete(db: &impl ConnectionTrait, user_id: Uuid) -> Result<(), DbErr> {
    Entity::delete_by_id(user_id.to_string()).exec(db).await?;
    Ok(())
}

fn row(preferences: &Preferences) -> Model {
    let wanted = preferences.wanted;
    Model {
        user_id: preferences.user_id.to_string(),
        order_placed: wanted.order_placed,
        order_confirmed: wanted.order_confirmed,
        order_shipped: wanted.order_shipped,
        order_cancelled: wanted.order_cancelled,
        version: preferences.version,
        updated_at_ms: preferences.updated_at_ms,
    }
}

/// The stored preferences, or the defaults.
pub(super) fn of(user_id: Uuid, row: Option<Model>) -> Preferences {
    let Some(row) = row else {
        return Preferences::unchanged(user_id);
    };
    Preferences {
        user_id,
        wanted: Wanted {
            order_placed: row.order_placed,
            order_confirmed: row.order_confirmed,
            order_shipped: row.order_shipped,
            order_cancelled: row.order_cancelled,
        },
        version: row.version,
        updated_at_ms: row.updated_at_ms,
    }
}
