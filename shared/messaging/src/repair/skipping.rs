//! An operator gives up what nothing can bring back.
//!
//! Guarantee: a skip and its record are committed together. The events never have an effect at this consumer.

use std::collections::HashMap;

use sea_orm::DbErr;
use store::sql;
use uuid::Uuid;

use super::handing::Repair;
use super::record::{self, By};
use crate::inbox;
use crate::inbox::positions::{self, Moved};

impl Repair {
    /// Gives up the versions before an aggregate's first waiting event, so that it is handled. `false` if nothing waits
    /// behind a gap.
    ///
    /// # Errors
    /// If the database refuses or is unavailable: nothing has changed.
    pub async fn skip_versions(&self, kind: &str, id: &str, by: &By) -> Result<bool, DbErr> {
        let transaction = self.store().begin().await?;
        let aggregate = (kind.to_owned(), id.to_owned());
        let position = positions::lock(&transaction, self.consumer(), [aggregate.clone()]).await?;
        let position = position.get(&aggregate).copied().unwrap_or(0);
        let lowest = inbox::lowest_held(&transaction, self.consumer(), kind, id).await?;
        let Some(waits) = lowest.filter(|waits| *waits > position + 1) else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let moved = Moved {
            version: waits - 1,
            events: 1,
        };
        positions::advance(
            &transaction,
            self.consumer(),
            &HashMap::from([(aggregate, moved)]),
        )
        .await?;
        let detail = format!("versions {} to {} of {kind} {id}", position + 1, waits - 1);
        let versions = u64::try_from(waits - 1 - position).unwrap_or(0);
        record::keep(
            &transaction,
            self.consumer(),
            record::SKIPPED,
            &detail,
            versions,
            by,
        )
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Gives up the gap that begins with `first`. `false` if there is none.
    ///
    /// # Errors
    /// If the database refuses or is unavailable: nothing has changed.
    pub async fn skip_checkpoints(
        &self,
        source: &str,
        exchange: &str,
        first: i64,
        by: &By,
    ) -> Result<bool, DbErr> {
        let skipping = "
            DELETE FROM angarium_checkpoint_gap
            WHERE consumer = $1 AND source = $2 AND exchange = $3 AND first_number = $4 RETURNING last_number";
        let values = [
            self.consumer().into(),
            source.into(),
            exchange.into(),
            first.into(),
        ];
        let transaction = self.store().begin().await?;
        let Some(row) = sql::query_one(&transaction, skipping, values).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let last: i64 = row.try_get("", "last_number")?;
        let detail = format!("checkpoints {first} to {last} of {source} on {exchange}");
        record::keep(
            &transaction,
            self.consumer(),
            record::SKIPPED,
            &detail,
            0,
            by,
        )
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Gives up an event that its producer no longer has. `false` if it is not missing.
    ///
    /// # Errors
    /// If the database refuses or is unavailable: nothing has changed.
    pub async fn skip_event(&self, event_id: Uuid, by: &By) -> Result<bool, DbErr> {
        let skipping = "DELETE FROM angarium_missing WHERE consumer = $1 AND event_id = {uuid $2}";
        let transaction = self.store().begin().await?;
        let values = [self.consumer().into(), event_id.to_string().into()];
        if sql::execute(&transaction, skipping, values).await? == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        let detail = format!("event {event_id}");
        record::keep(
            &transaction,
            self.consumer(),
            record::SKIPPED,
            &detail,
            1,
            by,
        )
        .await?;
        transaction.commit().await?;
        Ok(true)
    }
}
