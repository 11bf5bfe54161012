//! Pages of orders, newest first, each small enough for one answer.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use uuid::Uuid;

use super::orders::{Column, Entity};
use super::{all_with_lines, state_name};
use crate::order::{MAX_LINES, Order, State};

/// The most lines on one page: at their longest they stay well below the 4 MiB of an answer. More than one order has.
const PAGE_LINES: usize = 2_000;
const _: () = assert!(PAGE_LINES >= MAX_LINES);

/// Which orders: all that agree with what is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub state: Option<State>,
    pub user_id: Option<Uuid>,
}

/// At most `size` orders from below `before`, and whether there are more.
pub async fn page(
    db: &impl ConnectionTrait,
    filter: Filter,
    before: Option<Uuid>,
    size: usize,
) -> Result<(Vec<Order>, bool), DbErr> {
    // Ids begin with the time at which they were made.
    let mut orders = Entity::find().order_by_desc(Column::OrderId);
    if let Some(state) = filter.state {
        orders = orders.filter(Column::State.eq(state_name(state)));
    }
    if let Some(user_id) = filter.user_id {
        orders = orders.filter(Column::UserId.eq(user_id.to_string()));
    }
    if let Some(before) = before {
        orders = orders.filter(Column::OrderId.lt(before.to_string()));
    }
    // One more than asked for tells whether there is a next page.
    let limit = u64::try_from(size).unwrap_or(u64::MAX).saturating_add(1);
    let mut rows = orders.limit(limit).all(db).await?;
    let found = rows.len();
    rows.truncate(size);
    let mut lines = 0;
    let fitting = rows.iter().take_while(|row| {
        lines += usize::try_from(row.line_count).unwrap_or(MAX_LINES);
        lines <= PAGE_LINES
    });
    let fitting = fitting.count();
    rows.truncate(fitting);
    let has_more = found > rows.len();
    Ok((all_with_lines(db, rows).await?, has_more))
}
