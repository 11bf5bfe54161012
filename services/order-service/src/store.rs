//! The tables `orders`, `order_line` and `known_user`, and the queries on them.
//!
//! Plain functions over a connection or a transaction, so that what is committed together is visible where it is committed.

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Set,
};
use uuid::Uuid;

use crate::money::Money;
use crate::order::{Cancellation, Line, Order, State};

pub mod known_user;
pub mod order_line;
pub mod orders;

pub async fn insert_order(db: &impl ConnectionTrait, order: &Order) -> Result<(), DbErr> {
    orders::Entity::insert(orders::row(order).into_active_model())
        .exec_without_returning(db)
        .await?;
    let lines = order
        .lines
        .iter()
        .zip(0..)
        .map(|(line, position)| order_line::row(order.id, position, line));
    order_line::Entity::insert_many(lines.map(sea_orm::IntoActiveModel::into_active_model))
        .exec_without_returning(db)
        .await?;
    Ok(())
}

pub async fn find_order(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<Order>, DbErr> {
    with_lines(
        db,
        orders::Entity::find_by_id(id.to_string()).one(db).await?,
    )
    .await
}

/// The order, locked until the transaction ends: two changes at once would take the same version.
pub async fn lock_order(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<Order>, DbErr> {
    with_lines(
        db,
        orders::Entity::find_by_id(id.to_string())
            .lock_exclusive()
            .one(db)
            .await?,
    )
    .await
}

/// Writes what can change of an order. Lines never do.
pub async fn update_order(db: &impl ConnectionTrait, order: &Order) -> Result<(), DbErr> {
    let cancellation = order.cancellation.as_ref();
    orders::ActiveModel {
        order_id: Set(order.id.to_string()),
        state: Set(state_name(order.state).to_owned()),
        version: Set(order.version),
        updated_at_ms: Set(order.updated_at_ms),
        cancelled_at_ms: Set(cancellation.map(|cancellation| cancellation.at_ms)),
        cancellation_reason: Set(cancellation.map(|cancellation| cancellation.reason.clone())),
        ..Default::default()
    }
    .update(db)
    .await?;
    Ok(())
}

/// From now on orders are taken for this user.
pub async fn insert_user(db: &impl ConnectionTrait, id: Uuid) -> Result<(), DbErr> {
    let user = known_user::Model {
        user_id: id.to_string(),
    };
    known_user::Entity::insert(user.into_active_model())
        .on_conflict(
            OnConflict::column(known_user::Column::UserId)
                .do_nothing()
                .to_owned(),
        )
        .exec_without_returning(db)
        .await?;
    Ok(())
}

pub async fn knows_user(db: &impl ConnectionTrait, id: Uuid) -> Result<bool, DbErr> {
    Ok(known_user::Entity::find_by_id(id.to_string())
        .one(db)
        .await?
        .is_some())
}

async fn with_lines(
    db: &impl ConnectionTrait,
    row: Option<orders::Model>,
) -> Result<Option<Order>, DbErr> {
    let Some(row) = row else {
        return Ok(None);
    };
    let lines = order_line::Entity::find()
        .filter(order_line::Column::OrderId.eq(&row.order_id))
        .order_by_asc(order_line::Column::Position)
        .all(db)
        .await?;
    order(row, lines).map(Some)
}

fn order(row: orders::Model, lines: Vec<order_line::Model>) -> Result<Order, DbErr> {
    let cancellation = row.cancelled_at_ms.map(|at_ms| Cancellation {
        at_ms,
        reason: row.cancellation_reason.unwrap_or_default(),
    });
    Ok(Order {
        id: stored_id(&row.order_id)?,
        user_id: stored_id(&row.user_id)?,
        state: stored_state(&row.state)?,
        lines: lines.into_iter().map(line).collect::<Result<_, _>>()?,
        total: Money::stored(&row.currency, row.total_units, row.total_nanos),
        version: row.version,
        created_at_ms: row.created_at_ms,
        updated_at_ms: row.updated_at_ms,
        cancellation,
    })
}

fn line(row: order_line::Model) -> Result<Line, DbErr> {
    let quantity = u32::try_from(row.quantity).map_err(|_| unreadable("order_line.quantity"))?;
    Ok(Line {
        sku: row.sku,
        quantity,
        unit_price: Money::stored(&row.currency, row.price_units, row.price_nanos),
    })
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Placed => "placed",
        State::Cancelled => "cancelled",
    }
}

fn stored_state(name: &str) -> Result<State, DbErr> {
    match name {
        "placed" => Ok(State::Placed),
        "cancelled" => Ok(State::Cancelled),
        _ => Err(unreadable("orders.state")),
    }
}

fn stored_id(text: &str) -> Result<Uuid, DbErr> {
    Uuid::parse_str(text).map_err(|_| unreadable("an id"))
}

fn unreadable(column: &str) -> DbErr {
    DbErr::Type(format!("{column} holds what this release never writes"))
}
