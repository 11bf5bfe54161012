//! Erases mails to a deleted user. Their number, times, kinds and outcomes stay.

use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, UpdateMany,
};
use uuid::Uuid;

use super::notification::{Column, Entity};
use super::pending::{is_pending, letter};
use super::state_name;
use crate::kinds::Kind;
use crate::notification::{Letter, State};

/// Gives up at most `limit` pending mails to the user and erases them. Returns them and their number. The outcome of a
/// mail that is being handed over is not recorded any more.
pub async fn drop_pending(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    failure: &str,
    failed_at_ms: i64,
    limit: u64,
) -> Result<(usize, Vec<Letter>), DbErr> {
    let rows = Entity::find()
        .filter(Column::UserId.eq(user_id.to_string()))
        .filter(is_pending())
        .filter(is_not_the_last())
        .order_by_asc(Column::NotificationId)
        .limit(limit)
        .lock_exclusive()
        .all(db)
        .await?;
    let ids = rows.iter().map(|row| row.notification_id.clone());
    erased(Entity::update_many())
        .col_expr(Column::State, Expr::value(state_name(State::Failed)))
        .col_expr(Column::FailedAtMs, Expr::value(failed_at_ms))
        .col_expr(Column::Failure, Expr::value(failure))
        .col_expr(Column::AttemptBeganAtMs, Expr::value(None::<i64>))
        .filter(Column::NotificationId.is_in(ids))
        .exec(db)
        .await?;
    let dropped = rows.len();
    // Only a later release can publish the event of its kinds.
    let letters = rows.into_iter().filter_map(|row| letter(row).ok());
    Ok((dropped, letters.collect()))
}

/// At most `limit` mails with a final outcome. Returns how many.
pub async fn erase(db: &impl ConnectionTrait, user_id: Uuid, limit: u64) -> Result<u64, DbErr> {
    let unerased: Vec<String> = Entity::find()
        .select_only()
        .column(Column::NotificationId)
        .filter(Column::UserId.eq(user_id.to_string()))
        .filter(Column::Email.ne("").or(Column::BodyText.ne("")))
        .filter(is_not_the_last())
        .limit(limit)
        .into_tuple()
        .all(db)
        .await?;
    let erased = erased(Entity::update_many())
        .filter(Column::NotificationId.is_in(unerased))
        .exec(db)
        .await?;
    Ok(erased.rows_affected)
}

/// It is erased after its final outcome.
fn is_not_the_last() -> Expr {
    Column::Kind.ne(Kind::AccountDeleted.name())
}

/// After their final outcome.
pub async fn erase_last(db: &impl ConnectionTrait, ids: &[Uuid]) -> Result<(), DbErr> {
    let ids = ids.iter().map(Uuid::to_string);
    erased(Entity::update_many())
        .filter(Column::NotificationId.is_in(ids))
        .exec(db)
        .await?;
    Ok(())
}

/// Adds the erasure to an update.
fn erased(update: UpdateMany<Entity>) -> UpdateMany<Entity> {
    let columns = [
        Column::Email,
        Column::DisplayName,
        Column::BodyText,
        Column::BodyHtml,
    ];
    let columns = columns.into_iter();
    columns
        .fold(update, |update, column| {
            update.col_expr(column, Expr::value(""))
        })
        .col_expr(Column::SealedCode, Expr::value(None::<Vec<u8>>))
        // Baggage comes from callers.
        .col_expr(Column::Baggage, Expr::value(None::<String>))
}
