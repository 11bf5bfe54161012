//! Events that the broker does not take, and those behind them, get out of the way of all others.
//!
//! The index `outbox_pending` stays for the previous release, which reads by it while a rollout lasts.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

// When the event was set aside: the broker did not take it, or an earlier one of its aggregate. Null: it is to be published.
const SET_ASIDE: &str = "ALTER TABLE outbox ADD COLUMN set_aside_at_ms bigint";
// Since when no queue takes it, or the one that it waits for.
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
