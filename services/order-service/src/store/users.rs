//! The table `known_user`: the view of users built from events, and the users with an incomplete deletion.

use contracts::Event as _;
use contracts::user::v1::UserCreated;
use messaging::repair::Restored;
use messaging::trace::TraceContext;
use messaging::{Cause, Transaction};
use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, Select, Set,
};
use store::now_ms;
use uuid::Uuid;

use super::known_user::{ActiveModel, Column, Entity, Model};
use super::stored_id;

/// The common content of any event of a user.
pub struct Heard {
    pub user_id: Uuid,
    pub version: i64,
    pub event_at_ms: i64,
}

/// The cause of a user's deletion, for the work that follows.
pub struct Deletion {
    pub cause: Cause,
    pub trace: TraceContext,
}

/// Records that this user exists and may place orders. An event that comes late changes nothing of a later one. The data of a
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

/// Takes the view of a user back after the user service was restored: the state at this version and later events replace it. A user
/// that the user service has lost is removed.
pub async fn take_back(transaction: &Transaction, user: Restored<'_>) -> Result<(), DbErr> {
    if user.aggregate_type != UserCreated::AGGREGATE {
        return Ok(());
    }
    if user.version == 0 {
        Entity::delete_by_id(user.aggregate_id)
            .exec(transaction)
            .await?;
        return Ok(());
    }
    let of_user = || Entity::update_many().filter(Column::UserId.eq(user.aggregate_id));
    if user.exists {
        // Its deletion is lost.
        of_user()
            .col_expr(Column::DeletedAtMs, Expr::value(None::<i64>))
            .col_expr(Column::SettledAtMs, Expr::value(None::<i64>))
            .exec(transaction)
            .await?;
    }
    of_user()
        .col_expr(Column::Version, Expr::value(user.version - 1))
        .filter(Column::Version.gte(user.version))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Marks a user as deleted. The same event was recorded by `heard_of_user` before.
pub async fn mark_deleted(
    db: &impl ConnectionTrait,
    id: Uuid,
    deletion: Deletion,
) -> Result<(), DbErr> {
    let trace = deletion.trace;
    let deleted = ActiveModel {
        user_id: Set(id.to_string()),
        deleted_at_ms: Set(Some(now_ms(db).await?)),
        correlation_id: Set(Some(deletion.cause.correlation_id)),
        deletion_event_id: Set(deletion.cause.event_id.map(|id| id.to_string())),
        traceparent: Set(trace.traceparent),
        tracestate: Set(trace.tracestate),
        baggage: Set(trace.baggage),
        ..Default::default()
    };
    deleted.update(db).await?;
    Ok(())
}

/// The user, with a shared lock until the transaction ends: an order that is placed now exists before a deletion looks
/// for orders.
pub async fn share_user(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id.to_string())
        .lock_shared()
        .one(db)
        .await
}

pub async fn find_user(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id.to_string()).one(db).await
}

/// The user of the last handled event.
pub async fn latest_user(db: &impl ConnectionTrait) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .order_by_desc(Column::HandledAtMs)
        .one(db)
        .await
}

/// Locks the user who was marked first, and returns the deletion. Skips users that another replica has locked.
pub async fn lock_unsettled(db: &impl ConnectionTrait) -> Result<Option<(Uuid, Deletion)>, DbErr> {
    let row = unsettled()
        .order_by_asc(Column::DeletedAtMs)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .one(db)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let event_id = row.deletion_event_id.as_deref().map(stored_id);
    let deletion = Deletion {
        cause: Cause {
            correlation_id: row.correlation_id.unwrap_or_default(),
            event_id: event_id.transpose()?,
        },
        trace: TraceContext {
            traceparent: row.traceparent,
            tracestate: row.tracestate,
            baggage: row.baggage,
        },
    };
    Ok(Some((stored_id(&row.user_id)?, deletion)))
}

/// A query that returns a row, due now, if there is such a user, locked or not.
pub fn unsettled_due_in_ms(db: &impl ConnectionTrait) -> String {
    unsettled()
        .select_only()
        .expr_as(Expr::cust("cast(0 as bigint)"), "due_in_ms")
        .limit(1)
        .build(db.get_database_backend())
        .to_string()
}

pub async fn settle_user(db: &impl ConnectionTrait, id: Uuid) -> Result<(), DbErr> {
    let settled = ActiveModel {
        user_id: Set(id.to_string()),
        settled_at_ms: Set(Some(now_ms(db).await?)),
        // The work is complete, so its cause is not needed any more. Baggage comes from callers, so it is not kept
        // either.
        correlation_id: Set(None),
        deletion_event_id: Set(None),
        traceparent: Set(None),
        tracestate: Set(None),
        baggage: Set(None),
        ..Default::default()
    };
    settled.update(db).await?;
    Ok(())
}

fn unsettled() -> Select<Entity> {
    Entity::find()
        .filter(Column::DeletedAtMs.is_not_null())
        .filter(Column::SettledAtMs.is_null())
}
