//! The refused mails of kinds without a column of their own, by name: a new kind needs no new column. The previous
//! release does not use it.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const REFUSED: &str = "ALTER TABLE preference ADD COLUMN refused text NOT NULL DEFAULT ''";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ::store::create(manager, &[REFUSED]).await
    }
}
