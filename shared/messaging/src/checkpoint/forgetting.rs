//! Deletes old checkpoints of a producer, and the streams of producers that are gone for good.
//!
//! Guarantee: a checkpoint stays as long as the events that it lists; the newest one stays always.

use std::time::Duration;

use sea_orm::DbErr;
use store::sql;

use crate::retry::millis;
use crate::store::Store;

const BATCH: i64 = 1000;

// The newest one stays, because the next number follows it.
pub(super) const CHECKPOINTS: &str = "
DELETE FROM angarium_checkpoint WHERE number IN (
    SELECT number FROM (SELECT number, taken_at, confirmed_at FROM angarium_checkpoint ORDER BY number LIMIT $2) AS oldest
    WHERE taken_at < {time - $1} AND confirmed_at IS NOT NULL)
  AND number < (SELECT max(number) FROM angarium_checkpoint)";

// One row for each producer and exchange.
const STREAMS: &str = "DELETE FROM angarium_checkpoint_stream WHERE received_at < {time - $1}";
const GAPS: &str = "
DELETE FROM angarium_checkpoint_gap WHERE NOT EXISTS (
    SELECT 1 FROM angarium_checkpoint_stream AS stream
    WHERE stream.consumer = angarium_checkpoint_gap.consumer AND stream.source = angarium_checkpoint_gap.source
      AND stream.exchange = angarium_checkpoint_gap.exchange)";

pub(crate) async fn forget(store: &Store, outbox: Duration, inbox: Duration) -> Result<(), DbErr> {
    loop {
        let _turn = store.turn_to_write().await?;
        let values = [millis(outbox).into(), BATCH.into()];
        if sql::execute(store.connection(), CHECKPOINTS, values).await? == 0 {
            break;
        }
    }
    let _turn = store.turn_to_write().await?;
    let silent = [millis(inbox).into()];
    if sql::execute(store.connection(), STREAMS, silent).await? > 0 {
        sql::execute(store.connection(), GAPS, []).await?;
    }
    Ok(())
}
