//! The tables `orders`, `order_line` and `known_user`, and their queries.
//!
//! Plain functions over a connection or a transaction: a command shows what it commits together. The queries check the
//! owner: an order of another user is not even read.

use std::collections::HashMap;

use sea_orm::sea_query::{CommonTableExpression, Query};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbBackend, DbErr, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
    Select,
};
use service::{stored_id, unreadable};
use uuid::Uuid;

use crate::money::Money;
use crate::order::{Cancellation, Line, Order, Shipment, State};

pub mod known_user;
pub mod listing;
pub mod order_line;
pub mod orders;
mod state;
pub mod user_deletion;
pub mod users;

/// On PostgreSQL in one round trip.
pub async fn insert_order(db: &impl ConnectionTrait, order: &Order) -> Result<(), DbErr> {
    let row = orders::row(order).into_active_model();
    let lines = order
        .lines
        .iter()
        .zip(0..)
        .map(|(line, position)| order_line::row(order.id, position, line).into_active_model());
    let row = orders::Entity::insert(row).into_query();
    let lines = order_line::Entity::insert_many(lines).into_query();
    if db.get_database_backend() == DbBackend::Postgres {
        let mut placed = CommonTableExpression::new();
        placed.table_name("placed").query(row);
        db.execute(&Query::with().cte(placed).to_owned().query(lines))
            .await?;
    } else {
        db.execute(&row).await?;
        db.execute(&lines).await?;
    }
    Ok(())
}

/// Any order without `owner`.
pub async fn find_order(
    db: &impl ConnectionTrait,
    id: Uuid,
    owner: Option<Uuid>,
) -> Result<Option<Order>, DbErr> {
    let row = of_owner(id, owner).one(db).await?;
    with_lines(db, row).await
}

/// As [`find_order`], locked: two concurrent changes would take the same version.
pub async fn lock_order(
    db: &impl ConnectionTrait,
    id: Uuid,
    owner: Option<Uuid>,
) -> Result<Option<Order>, DbErr> {
    let row = of_owner(id, owner).lock_exclusive().one(db).await?;
    with_lines(db, row).await
}

pub async fn update_order(db: &impl ConnectionTrait, order: &Order) -> Result<(), DbErr> {
    let row = orders::row(order).into_active_model().reset_all();
    row.update(db).await?;
    Ok(())
}

pub async fn versions(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<Vec<(Uuid, i64)>, DbErr> {
    let ids = ids.into_iter().map(|id| id.to_string());
    let rows: Vec<(String, i64)> = orders::Entity::find()
        .select_only()
        .columns([orders::Column::OrderId, orders::Column::Version])
        .filter(orders::Column::OrderId.is_in(ids))
        .into_tuple()
        .all(db)
        .await?;
    rows.into_iter()
        .map(|(id, version)| Ok((stored_id(&id)?, version)))
        .collect()
}

fn of_owner(id: Uuid, owner: Option<Uuid>) -> Select<orders::Entity> {
    let order = orders::Entity::find_by_id(id.to_string());
    match owner {
        Some(owner) => order.filter(orders::Column::UserId.eq(owner.to_string())),
        None => order,
    }
}

async fn with_lines(
    db: &impl ConnectionTrait,
    row: Option<orders::Model>,
) -> Result<Option<Order>, DbErr> {
    let orders = all_with_lines(db, row.into_iter().collect()).await?;
    Ok(orders.into_iter().next())
}

/// In the same order, with their lines from one query.
async fn all_with_lines(
    db: &impl ConnectionTrait,
    rows: Vec<orders::Model>,
) -> Result<Vec<Order>, DbErr> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids = rows.iter().map(|row| row.order_id.as_str());
    let found = order_line::Entity::find()
        .filter(order_line::Column::OrderId.is_in(ids))
        .order_by_asc(order_line::Column::OrderId)
        .order_by_asc(order_line::Column::Position)
        .all(db)
        .await?;
    let mut lines: HashMap<String, Vec<Line>> = HashMap::new();
    for row in found {
        let (order_id, line) = line(row)?;
        lines.entry(order_id).or_default().push(line);
    }
    rows.into_iter()
        .map(|row| {
            let lines = lines.remove(&row.order_id).unwrap_or_default();
            order(row, lines)
        })
        .collect()
}

fn order(row: orders::Model, lines: Vec<Line>) -> Result<Order, DbErr> {
    let shipment = row.shipped_at_ms.map(|at_ms| Shipment {
        at_ms,
        carrier: row.carrier.unwrap_or_default(),
        tracking_number: row.tracking_number.unwrap_or_default(),
    });
    let cancellation = row.cancelled_at_ms.map(|at_ms| Cancellation {
        at_ms,
        reason: row.cancellation_reason.unwrap_or_default(),
    });
    Ok(Order {
        id: stored_id(&row.order_id)?,
        user_id: stored_id(&row.user_id)?,
        state: stored_state(&row.state)?,
        lines,
        total: Money::stored(&row.currency, row.total_units, row.total_nanos),
        version: row.version,
        created_at_ms: row.created_at_ms,
        expires_at_ms: row.expires_at_ms,
        updated_at_ms: row.updated_at_ms,
        confirmed_at_ms: row.confirmed_at_ms,
        shipment,
        cancellation,
    })
}

/// With the id of its order.
fn line(row: order_line::Model) -> Result<(String, Line), DbErr> {
    let quantity = u32::try_from(row.quantity).map_err(|_| unreadable("order_line.quantity"))?;
    let line = Line {
        sku: row.sku,
        quantity,
        unit_price: Money::stored(&row.currency, row.price_units, row.price_nanos),
    };
    Ok((row.order_id, line))
}

fn stored_state(name: &str) -> Result<State, DbErr> {
    match name {
        "placed" => Ok(State::Placed),
        "confirmed" => Ok(State::Confirmed),
        "shipped" => Ok(State::Shipped),
        "cancelled" => Ok(State::Cancelled),
        _ => Err(unreadable("orders.state")),
    }
}
