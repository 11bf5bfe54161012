//! The orders of a deleted user: those to cancel, and the texts to erase in the others.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use uuid::Uuid;

use super::all_with_lines;
use super::orders::{Column, Entity};
use super::state::state_name;
use crate::order::{Order, State};

/// At most `limit` orders that can still be cancelled.
pub async fn lock_open_orders(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    limit: u64,
) -> Result<Vec<Order>, DbErr> {
    let open = [State::Placed, State::Confirmed].map(state_name);
    let rows = Entity::find()
        .filter(Column::UserId.eq(user_id.to_string()))
        .filter(Column::State.is_in(open))
        .order_by_asc(Column::OrderId)
        .limit(limit)
        .lock_exclusive()
        .all(db)
        .await?;
    all_with_lines(db, rows).await
}

/// Texts by people, at most `limit` of each kind: reasons except `ours`, and tracking numbers. Returns how many.
pub async fn erase_texts(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    ours: &str,
    limit: u64,
) -> Result<u64, DbErr> {
    let reasons = erase(db, user_id, Column::CancellationReason, ours, limit).await?;
    let parcels = erase(db, user_id, Column::TrackingNumber, "", limit).await?;
    Ok(reasons + parcels)
}

async fn erase(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    text: Column,
    kept: &str,
    limit: u64,
) -> Result<u64, DbErr> {
    let written: Vec<String> = Entity::find()
        .select_only()
        .column(Column::OrderId)
        .filter(Column::UserId.eq(user_id.to_string()))
        .filter(text.is_not_in(["", kept]))
        .limit(limit)
        .into_tuple()
        .all(db)
        .await?;
    let erased = Entity::update_many()
        .col_expr(text, Expr::value(""))
        .filter(Column::OrderId.is_in(written))
        .exec(db)
        .await?;
    Ok(erased.rows_affected)
}
