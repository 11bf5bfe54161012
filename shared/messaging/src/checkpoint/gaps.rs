//! Gaps: the numbers of missing checkpoints before one that has arrived.
//!
//! Guarantee: a gap is a row until each of its numbers has arrived, or an operator skips it. A number that arrives
//! splits its gap.

use std::time::Duration;

use sea_orm::{DbErr, Value};
use store::sql;

use super::stream::filled;
use crate::retry::millis;
use crate::transaction::Transaction;

pub(super) async fn fill(
    transaction: &Transaction,
    key: [&str; 3],
    number: i64,
) -> Result<(), DbErr> {
    let deleting = "
        DELETE FROM angarium_checkpoint_gap
        WHERE consumer = $1 AND source = $2 AND exchange = $3 AND first_number <= $4 AND last_number >= $4
        RETURNING first_number, last_number, {ms seen_at} AS seen_ms, {ms due_at} AS due_ms";
    let values = key.map(Value::from).into_iter().chain([number.into()]);
    let Some(gap) = sql::query_one(transaction, deleting, values).await? else {
        return Ok(());
    };
    let bounds = (
        gap.try_get("", "first_number")?,
        gap.try_get("", "last_number")?,
    );
    for (first, last) in filled(bounds, number) {
        let inserting = "
            INSERT INTO angarium_checkpoint_gap (consumer, source, exchange, first_number, last_number, seen_at, due_at)
            VALUES ($1, $2, $3, $4, $5, {time of $6}, {time of $7})";
        let times = ["seen_ms", "due_ms"].map(|column| gap.try_get::<i64>("", column));
        let [seen_ms, due_ms] = times;
        let part = [first.into(), last.into(), seen_ms?.into(), due_ms?.into()];
        let values = key.map(Value::from).into_iter().chain(part);
        sql::execute(transaction, inserting, values).await?;
    }
    Ok(())
}

/// Reported after `shown_after`, because its checkpoints may still arrive.
pub(super) async fn insert(
    transaction: &Transaction,
    key: [&str; 3],
    (first, last): (i64, i64),
    shown_after: Duration,
) -> Result<(), DbErr> {
    let inserting = "
        INSERT INTO angarium_checkpoint_gap (consumer, source, exchange, first_number, last_number, seen_at, due_at)
        VALUES ($1, $2, $3, $4, $5, {time}, {time + $6})
        ON CONFLICT (consumer, source, exchange, first_number) DO UPDATE SET last_number = excluded.last_number";
    let gap = [first.into(), last.into(), millis(shown_after).into()];
    let values = key.map(Value::from).into_iter().chain(gap);
    sql::execute(transaction, inserting, values).await?;
    Ok(())
}

/// A restored producer has lost those checkpoints itself.
pub(super) async fn forget_after(
    transaction: &Transaction,
    key: [&str; 3],
    number: i64,
) -> Result<(), DbErr> {
    let forgetting = "
        DELETE FROM angarium_checkpoint_gap
        WHERE consumer = $1 AND source = $2 AND exchange = $3 AND first_number > $4";
    let values = key.map(Value::from).into_iter().chain([number.into()]);
    sql::execute(transaction, forgetting, values).await?;
    Ok(())
}
