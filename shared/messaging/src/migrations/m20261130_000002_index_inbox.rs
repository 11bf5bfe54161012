//! Indexes that find personal data in the inbox, partial: only held events.
//!
//! Built concurrently on PostgreSQL, because the inbox may be large and commands must continue.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let concurrently = match manager.get_database_backend() {
            sea_orm::DbBackend::Sqlite => "",
            _ => "CONCURRENTLY",
        };
        for (name, index) in INDEXES {
            // A failed attempt leaves an invalid index.
            let dropping = format!("DROP INDEX {concurrently} IF EXISTS {name}");
            let creating = format!("CREATE INDEX {concurrently} {name} ON {index}");
            store::create(manager, &[&dropping, &creating]).await?;
        }
        Ok(())
    }
}

const INDEXES: [(&str, &str); 3] = [
    (
        "angarium_inbox_personal",
        "angarium_inbox (person_id) WHERE person_id <> '' AND state <> 'done'",
    ),
    (
        "angarium_inbox_unattributed",
        "angarium_inbox (event_type) WHERE person_id IS NULL AND state <> 'done'",
    ),
    (
        "angarium_inbox_late",
        "angarium_inbox (event_type) WHERE person_id IS NULL AND state IN ('dead', 'skipped')",
    ),
];
