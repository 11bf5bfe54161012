//! Who can be written to: the users that events have told of, as the latest event has them.
//!
//! Events of one user may come in any order, so each row has the version of the user that it shows and never goes back. A
//! user whose account was deleted stays as a row with nothing but the id: whatever still comes about them finds it.

use std::collections::HashMap;

use messaging::Cause;
use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, IntoActiveModel as _, JoinType,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait, Select,
};
use service::settling::Deleted;
use store::now_sql;
use tracing::Span;
use uuid::Uuid;

use super::recipient::{Column, Entity, Model};
use super::{preference, preferences, stored_id};
use crate::error::Error;
use crate::notification::Recipient;
use crate::preferences::Wanted;

/// The version of a user of whom no event of their own has told yet.
pub const UNTOLD: i64 = 0;

/// From now on the user has this address and this name, unless what is known is newer.
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

/// The user, who stays as they are until the transaction ends; `None` where the account was deleted.
///
/// # Errors
/// [`Error::RecipientUnknown`] where nobody has told of the user yet.
pub async fn find(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Option<Recipient>, Error> {
    let row = Entity::find_by_id(user_id.to_string())
        .lock_shared()
        .one(db)
        .await?
        .ok_or(Error::RecipientUnknown(user_id))?;
    Ok(known(user_id, row))
}

/// Those of the users that are known, with the mails that they want. They stay as they are until the transaction ends; there is no
/// recipient where the account was deleted.
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
        // In one order, so that no two transactions wait for each other.
        .order_by_asc(Column::UserId)
        .select_also(preference::Entity)
        .join(JoinType::LeftJoin, preference);
    // The recipient alone: preferences that are not there cannot be locked.
    QueryTrait::query(&mut rows).lock_with_tables(LockType::Share, [Entity]);
    let mut found = HashMap::new();
    for (row, preference) in rows.all(db).await? {
        let user_id = stored_id(&row.user_id)?;
        let wanted = preferences::of(user_id, preference).wanted;
        found.insert(user_id, (known(user_id, row), wanted));
    }
    Ok(found)
}

/// Erases the user, and answers who it was: `None` where nobody has told of them, or they were erased before. Waits for
/// whoever is just writing to them. The mails to them remain to be looked after.
pub async fn erase(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    deletion: &Cause,
) -> Result<Option<Recipient>, DbErr> {
    let nobody = Recipient {
        user_id,
        email: String::new(),
        display_name: String::new(),
    };
    insert(db, &nobody, UNTOLD).await?;
    let row = Entity::find_by_id(user_id.to_string())
        .lock_exclusive()
        .one(db)
        .await?;
    Entity::update_many()
        .col_expr(Column::Email, Expr::value(""))
        .col_expr(Column::DisplayName, Expr::value(""))
        .col_expr(
            Column::ErasedAtMs,
            Expr::cust(now_sql(db.get_database_backend())),
        )
        .col_expr(
            Column::CorrelationId,
            Expr::value(deletion.correlation_id.as_str()),
        )
        .col_expr(
            Column::DeletionEventId,
            Expr::value(deletion.event_id.map(|id| id.to_string())),
        )
        .filter(Column::UserId.eq(user_id.to_string()))
        .filter(Column::ErasedAtMs.is_null())
        .exec(db)
        .await?;
    let known = row.filter(|row| row.erased_at_ms.is_none() && !row.email.is_empty());
    Ok(known.map(|row| Recipient {
        user_id,
        email: row.email,
        display_name: row.display_name,
    }))
}

/// The user who has waited longest, locked. One that another replica has locked is not waited for.
pub async fn lock_unsettled(db: &impl ConnectionTrait) -> Result<Option<Deleted>, DbErr> {
    let row = unsettled()
        .order_by_asc(Column::ErasedAtMs)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .one(db)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let event_id = row.deletion_event_id.as_deref().map(stored_id);
    Ok(Some(Deleted {
        user_id: stored_id(&row.user_id)?,
        cause: Cause {
            correlation_id: row.correlation_id.unwrap_or_default(),
            event_id: event_id.transpose()?,
        },
        span: Span::none(),
    }))
}

/// Asks whether there is one at all, locked or not: then it is due now.
pub fn unsettled_due_in_ms(db: &impl ConnectionTrait) -> String {
    unsettled()
        .select_only()
        .expr_as(Expr::cust("cast(0 as bigint)"), "due_in_ms")
        .limit(1)
        .build(db.get_database_backend())
        .to_string()
}

/// Nothing personal is left of the user.
pub async fn settle(db: &impl ConnectionTrait, user_id: Uuid) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(
            Column::SettledAtMs,
            Expr::cust(now_sql(db.get_database_backend())),
        )
        .col_expr(Column::CorrelationId, Expr::value(None::<String>))
        .col_expr(Column::DeletionEventId, Expr::value(None::<String>))
        .filter(Column::UserId.eq(user_id.to_string()))
        .exec(db)
        .await?;
    Ok(())
}

fn unsettled() -> Select<Entity> {
    Entity::find()
        .filter(Column::ErasedAtMs.is_not_null())
        .filter(Column::SettledAtMs.is_null())
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
