//! Columns for the erasure of personal data from the inbox. The record of decisions gets the type of its event, because
//! it outlives the inbox row.
//!
//! It only adds: an older release keeps working, and leaves them empty.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        store::create(manager, COLUMNS).await
    }
}

// Null until an erasure has decoded the event; empty for an event without personal data.
const COLUMNS: &[&str] = &[
    "ALTER TABLE angarium_inbox ADD COLUMN person_id text",
    "ALTER TABLE angarium_inbox ADD COLUMN erased_at {time}",
    "ALTER TABLE angarium_dead_letter_decision ADD COLUMN event_type text",
    "CREATE TABLE angarium_erased_person (person_id text PRIMARY KEY, erased_at {time} NOT NULL)",
    "CREATE INDEX angarium_erased_person_age ON angarium_erased_person (erased_at)",
];
