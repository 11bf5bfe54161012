//! The recipients: users as their latest event describes them.
//!
//! Events of one user may arrive in any order, so each row has the user's version and never goes back. A deleted user
//! stays as an id, so that late events find it.

use std::collections::HashMap;

use messaging::Cause;
use sea_orm::sea_query::{Expr, LockType, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, IntoActiveModel as _, JoinType,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait,
};
use service::user_deletion::MarkedUsers;
use uuid::Uuid;

use super::recipient::{Column, Entity, Model};
use super::{preference, preferences, stored_id};
use crate::error::Error;
use crate::notification::Recipient;
use crate::preferences::Wanted;

/// From the mark on, the user gets only the last mail. A dropped mail is in the trace of its own cause.
pub const MARKED: MarkedUsers = MarkedUsers {
    table: "recipient",
    marked_at: "erased_at_ms",
    version: "user_version",
    has_trace: false,
};

/// Of a user without an own event so far.
pub const NO_EVENT: i64 = 0;

/// Unless the row is newer.
pub async fn learn(
    db: &impl ConnectionTrait,
    recipient: &Recipient,
    user_version: i64,
) -> Result<(), DbErr> {
    insert(db, recipient, user_version).await?;
    Entity::update_many()
        .col_expr(Column::Email, Expr::value(recipient.email.as_str()))
        .col_expr(
            Column::DisplayName,
            Expr::value(recipient.display_name.as_str()),
        )
        .col_expr(Column::UserVersion, Expr::value(user_version))
        .filter(Column::UserId.eq(recipient.user_id.to_string()))
        .filter(Column::UserVersion.lt(user_version))
        .filter(Column::ErasedAtMs.is_null())
        .exec(db)
        .await?;
    Ok(())
}

/// Locked against changes until the transaction ends; `None` if the account was deleted.
///
/// # Errors
/// [`Error::RecipientUnknown`] if no event of the user has arrived yet.
pub async fn find(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Option<Recipient>, Error> {
    let row = Entity::find_by_id(user_id.to_string())
        .lock_shared()
        .one(db)
        .await?
        .ok_or(Error::RecipientUnknown(user_id))?;
    Ok(known(user_id, row))
}

/// The known ones of these users, with their mail preferences, locked until the transaction ends. The recipient is
/// `None` if the account was deleted.
pub async fn find_all_with_preferences(
    db: &impl ConnectionTrait,
    user_ids: &[Uuid],
) -> Result<HashMap<Uuid, (Option<Recipient>, Wanted)>, DbErr> {
    let preference = Entity::belongs_to(preference::Entity)
        .from(Column::UserId)
        .to(preference::Column::UserId)
        .into();
    let mut rows = Entity::find()
        .filter(Column::UserId.is_in(user_ids.iter().map(Uuid::to_string)))
        // A fixed order avoids deadlocks.
        .order_by_asc(Column::UserId)
        .select_also(preference::Entity)
        .join(JoinType::LeftJoin, preference);
    // Missing preferences cannot be locked.
    QueryTrait::query(&mut rows).lock_with_tables(LockType::Share, [Entity]);
    let mut found = HashMap::new();
    for (row, preference) in rows.all(db).await? {
        let user_id = stored_id(&row.user_id)?;
        let wanted = preferences::of(user_id, preference).wanted;
        found.insert(user_id, (known(user_id, row), wanted));
    }
    Ok(found)
}

/// Erases the user, and marks them for the worker. Returns the old data; `None` if the user is unknown or already
/// erased. Waits for transactions that write to the user.
pub async fn erase(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    deletion: &Cause,
) -> Result<Option<Recipient>, DbErr> {
    let erased = Recipient {
        user_id,
        email: String::new(),
        display_name: String::new(),
    };
    insert(db, &erased, NO_EVENT).await?;
    let row = Entity::find_by_id(user_id.to_string())
        .lock_exclusive()
        .one(db)
        .await?;
    let Some(row) = row.filter(|row| row.erased_at_ms.is_none()) else {
        return Ok(None);
    };
    Entity::update_many()
        .col_expr(Column::Email, Expr::value(""))
        .col_expr(Column::DisplayName, Expr::value(""))
        .filter(Column::UserId.eq(user_id.to_string()))
        .exec(db)
        .await?;
    MARKED.mark(db, user_id, deletion).await?;
    Ok((!row.email.is_empty()).then_some(Recipient {
        user_id,
        email: row.email,
        display_name: row.display_name,
    }))
}

async fn insert(
    db: &impl ConnectionTrait,
    recipient: &Recipient,
    user_version: i64,
) -> Result<(), DbErr> {
    let row = Model {
        user_id: recipient.user_id.to_string(),
        email: recipient.email.clone(),
        display_name: recipient.display_name.clone(),
        user_version,
        erased_at_ms: None,
        settled_at_ms: None,
        correlation_id: None,
        deletion_event_id: None,
    };
    Entity::insert(row.into_active_model())
        .on_conflict(OnConflict::column(Column::UserId).do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(())
}

fn known(user_id: Uuid, row: Model) -> Option<Recipient> {
    row.erased_at_ms.is_none().then_some(Recipient {
        user_id,
        email: row.email,
        display_name: row.display_name,
    })
}
