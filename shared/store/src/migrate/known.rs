//! Compares the migrations of a release with those of the schema. A newer release may have added some.

use std::marker::PhantomData;

use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationTrait, MigratorTrait, async_trait, seaql_migrations};

use crate::sql;

/// In a migration's name, before the migration that a release must know to use the schema.
const REQUIRES: &str = "_requires_";

pub(super) async fn unknown<M: MigratorTrait>(
    db: &impl ConnectionTrait,
) -> Result<Vec<String>, DbErr> {
    let mut applied = applied::<M>(db).await?;
    applied.retain(|name| !has::<M>(name));
    Ok(applied)
}

/// Needs no right to change the schema.
pub(super) async fn missing<M: MigratorTrait>(
    db: &impl ConnectionTrait,
) -> Result<Vec<String>, DbErr> {
    let applied = applied::<M>(db).await?;
    let own = M::migrations().into_iter();
    let names = own.map(|migration| migration.name().to_owned());
    Ok(names.filter(|name| !applied.contains(name)).collect())
}

async fn applied<M: MigratorTrait>(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let table = M::migration_table_name().to_string();
    if !has_table(db, &table).await? {
        return Ok(Vec::new());
    }
    // sea-orm's query creates the table first, so it needs rights that a service may not have.
    let select = format!("SELECT version FROM {table} ORDER BY version");
    let rows = sql::query_all(db, &select, []).await?;
    rows.iter().map(|row| row.try_get("", "version")).collect()
}

async fn has_table(db: &impl ConnectionTrait, name: &str) -> Result<bool, DbErr> {
    let sql = match db.get_database_backend() {
        DbBackend::Sqlite => {
            "SELECT 1 AS one FROM sqlite_master WHERE type = 'table' AND name = $1"
        }
        _ => {
            "SELECT 1 AS one FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1"
        }
    };
    Ok(sql::query_one(db, sql, [name.into()]).await?.is_some())
}

pub(super) fn too_new<M: MigratorTrait>(unknown: &[String]) -> Option<String> {
    unknown.iter().find_map(|name| {
        let (_, required) = name.rsplit_once(REQUIRES)?;
        let mut own = M::migrations().into_iter();
        let knows = own.any(|migration| migration.name().starts_with(required));
        (!knows).then(|| {
            format!(
                "its migration `{name}` requires a release that has the migration `{required}`, and this release does not. \
                 What to do: start a newer release, or restore the database from before that migration"
            )
        })
    })
}

fn has<M: MigratorTrait>(name: &str) -> bool {
    let mut own = M::migrations().into_iter();
    own.any(|migration| migration.name() == name)
}

/// Plain sea-orm refuses a schema with an unknown migration.
pub(super) struct Known<M>(PhantomData<M>);

#[async_trait::async_trait]
impl<M: MigratorTrait> MigratorTrait for Known<M> {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        M::migrations()
    }

    async fn get_migration_models<C: ConnectionTrait>(
        db: &C,
    ) -> Result<Vec<seaql_migrations::Model>, DbErr> {
        let mut applied = M::get_migration_models(db).await?;
        applied.retain(|migration| has::<M>(&migration.version));
        Ok(applied)
    }
}
