//! Events of an unknown type wait for a process that knows it.

use sea_orm_migration::prelude::*;

use super::inbox;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        store::create(manager, inbox::UNKNOWN_TYPES).await
    }
}
