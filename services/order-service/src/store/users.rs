//! The table `known_user`: the view of users built from events.

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait as _, QueryOrder as _, QuerySelect as _, Set};
use service::user_deletion::MarkedUsers;
use store::now_ms;
use uuid::Uuid;

use super::known_user::{ActiveModel, Column, Entity, Model};

/// From the mark on, the user cannot place orders.
pub const MARKED: MarkedUsers = MarkedUsers {
    table: "known_user",
    marked_at: "deleted_at_ms",
    version: "version",
    has_trace: true,
};

pub struct Heard {
    pub user_id: Uuid,
    pub version: i64,
    pub event_at_ms: i64,
}

/// This user exists and may place orders. An event that comes late changes nothing of a later one. The data of a
/// deletion stays.
pub async fn heard_of_user(db: &impl ConnectionTrait, heard: &Heard) -> Result<(), DbErr> {
    let user = ActiveModel {
        user_id: Set(heard.user_id.to_string()),
        version: Set(heard.version),
        event_at_ms: Set(heard.event_at_ms),
        handled_at_ms: Set(now_ms(db).await?),
        ..Default::default()
    };
    let newer = [Column::Version, Column::EventAtMs, Column::HandledAtMs];
    Entity::insert(user)
        .on_conflict(
            OnConflict::column(Column::UserId)
                .update_columns(newer)
                .action_and_where(Expr::cust("known_user.version < excluded.version"))
                .to_owned(),
        )
        .exec_without_returning(db)
        .await?;
    Ok(())
}

/// With a shared lock: an order that is placed now exists before a deletion looks for orders.
pub async fn share_user(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id.to_string())
        .lock_shared()
        .one(db)
        .await
}

pub async fn find_user(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id.to_string()).one(db).await
}

pub async fn latest_user(db: &impl ConnectionTrait) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .order_by_desc(Column::HandledAtMs)
        .one(db)
        .await
}
