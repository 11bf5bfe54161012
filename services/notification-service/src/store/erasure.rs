//! What is left of the mails to a user whose account was deleted: that there were mails, when, of what kind and how they
//! ended, without address, name, text or code.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, UpdateMany,
};
use uuid::Uuid;

use super::notification::{Column, Entity};
use super::pending::{is_pending, letter};
use super::state_name;
use crate::notification::{Kind, Letter, State};

/// Gives up the mails to the user that are still to be sent, and answers them. One that is being handed over at this moment
/// is among them: its outcome is not recorded any more.
pub async fn drop_pending(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    failure: &str,
    failed_at_ms: i64,
) -> Result<Vec<Letter>, DbErr> {
    let rows = Entity::find()
        .filter(Column::UserId.eq(user_id.to_string()))
        .filter(is_pending())
        .order_by_asc(Column::NotificationId)
        .lock_exclusive()
        .all(db)
        .await?;
    Entity::update_many()
        .col_expr(Column::State, Expr::value(state_name(State::Failed)))
        .col_expr(Column::FailedAtMs, Expr::value(failed_at_ms))
        .col_expr(Column::Failure, Expr::value(failure))
        .col_expr(Column::AttemptBeganAtMs, Expr::value(None::<i64>))
        .filter(Column::UserId.eq(user_id.to_string()))
        .filter(is_pending())
        .exec(db)
        .await?;
    // A kind that only a later release knows is dropped as well; it alone could tell of it.
    Ok(rows
        .into_iter()
        .filter_map(|row| letter(row).ok())
        .collect())
}

/// Erases what is personal in all mails to the user.
pub async fn erase(db: &impl ConnectionTrait, user_id: Uuid) -> Result<(), DbErr> {
    erased(Entity::update_many())
        .filter(Column::UserId.eq(user_id.to_string()))
        .exec(db)
        .await?;
    Ok(())
}

/// Erases the last mail to a user, once it has ended.
pub async fn erase_last(db: &impl ConnectionTrait, letter: &Letter) -> Result<(), DbErr> {
    if letter.kind != Kind::AccountDeleted {
        return Ok(());
    }
    erased(Entity::update_many())
        .filter(Column::NotificationId.eq(letter.id.to_string()))
        .exec(db)
        .await?;
    Ok(())
}

/// The update, which erases what is personal in the rows that it reaches.
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
}
