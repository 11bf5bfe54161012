//! Pages of orders, newest first, each small enough for one answer.

use runtime::Page;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use uuid::Uuid;

use super::all_with_lines;
use super::orders::{Column, Entity};
use super::state::state_name;
use crate::order::{Order, State};

/// Lines per page, unless the first order alone has more. With the longest lines, a page stays below the 4 MiB of an
/// answer.
const PAGE_LINES: i64 = 2_000;

/// Empty fields match all orders.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub state: Option<State>,
    pub user_id: Option<Uuid>,
}

/// And whether there are more.
pub async fn page(
    db: &impl ConnectionTrait,
    filter: Filter,
    page: &Page,
) -> Result<(Vec<Order>, bool), DbErr> {
    // Ids begin with the time of their creation.
    let mut orders = Entity::find().order_by_desc(Column::OrderId);
    if let Some(state) = filter.state {
        orders = orders.filter(Column::State.eq(state_name(state)));
    }
    if let Some(user_id) = filter.user_id {
        orders = orders.filter(Column::UserId.eq(user_id.to_string()));
    }
    if let Some(before) = page.before {
        orders = orders.filter(Column::OrderId.lt(before.to_string()));
    }
    let mut rows = orders.limit(page.limit()).all(db).await?;
    let mut lines = 0;
    let fitting = rows.iter().take_while(|row| {
        lines += i64::from(row.line_count);
        lines <= PAGE_LINES
    });
    let fitting = fitting.count().max(1);
    // The row beyond the page size only shows that there is a next page.
    let asked = usize::try_from(page.limit() - 1).unwrap_or(usize::MAX);
    let kept = fitting.min(asked);
    let has_more = rows.len() > kept;
    rows.truncate(kept);
    Ok((all_with_lines(db, rows).await?, has_more))
}
