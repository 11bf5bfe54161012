//! Producers that have lost events with their database: from which checkpoint on, and which received events.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        store::create(manager, COLUMNS).await
    }
}

const COLUMNS: &[&str] = &[DIVERGED_FROM, LOST, STATE];

// The first repeated number. Earlier checkpoints are the same on both sides.
const DIVERGED_FROM: &str =
    "ALTER TABLE angarium_checkpoint_stream ADD COLUMN diverged_from bigint";

const LOST: &str = "ALTER TABLE angarium_inbox ADD COLUMN lost_at {time}";

const STATE: &str = "ALTER TABLE angarium_inbox ADD COLUMN is_state boolean";
