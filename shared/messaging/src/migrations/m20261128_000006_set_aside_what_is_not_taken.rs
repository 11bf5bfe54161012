//! Sets events aside that the broker does not take, with those behind them, so that they do not delay the others.
//!
//! The index `outbox_pending` stays, because the previous release uses it while a rollout lasts.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

// When the event was set aside, because the broker did not take it or an earlier one of its aggregate. Null: not set aside.
const SET_ASIDE: &str = "ALTER TABLE outbox ADD COLUMN set_aside_at_ms bigint";
// Since when no queue takes this event, or the event that it waits for.
const UNROUTABLE: &str = "ALTER TABLE outbox ADD COLUMN unroutable_since_ms bigint";

const READY: &str = "
CREATE INDEX outbox_ready ON outbox (sequence)
WHERE published_at_ms IS NULL AND held_until_ms IS NULL AND set_aside_at_ms IS NULL";
const ASIDE: &str = "
CREATE INDEX outbox_aside ON outbox (due_at_ms)
WHERE published_at_ms IS NULL AND held_until_ms IS NULL AND set_aside_at_ms IS NOT NULL";
const AGE: &str = "
CREATE INDEX outbox_age ON outbox (created_at_ms)
WHERE published_at_ms IS NULL AND held_until_ms IS NULL AND unroutable_since_ms IS NULL";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for statement in [SET_ASIDE, UNROUTABLE, READY, ASIDE, AGE] {
            db.execute_unprepared(statement).await?;
        }
        Ok(())
    }
}
