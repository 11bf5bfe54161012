//! All tables of the engine: the outbox with its history, and the inbox.

use sea_orm_migration::prelude::*;

use super::{inbox, outbox};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        store::create(manager, outbox::TABLES).await?;
        let by_store = match manager.get_database_backend() {
            sea_orm::DbBackend::Sqlite => outbox::ON_SQLITE,
            _ => outbox::ON_POSTGRES,
        };
        store::create(manager, by_store).await?;
        store::create(manager, inbox::TABLES).await
    }
}
