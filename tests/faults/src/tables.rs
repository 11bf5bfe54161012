//! The tables of the two services, and functions for statements on them.
//!
//! The effects have no unique constraint on purpose: only the engine keeps a second effect out, so a duplicate shows.

use anyhow::{Context as _, Result};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};
use sea_orm_migration::prelude::*;

/// The tables of the engine, of the runtime and of both services. Each database uses some of them.
pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations = messaging::migrations();
        migrations.extend(runtime::migrations());
        migrations.push(Box::new(CreateTables));
        migrations
    }
}

struct CreateTables;

impl MigrationName for CreateTables {
    fn name(&self) -> &'static str {
        "m20261123_100000_create_workload_tables"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CreateTables {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let (sequence, now_ms) = match db.get_database_backend() {
            sea_orm::DbBackend::Sqlite => (
                "integer PRIMARY KEY AUTOINCREMENT",
                "cast(unixepoch('subsec') * 1000 as integer)",
            ),
            _ => (
                "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
                "(extract(epoch from clock_timestamp()) * 1000)::bigint",
            ),
        };
        for statement in [
            "CREATE TABLE account (id text PRIMARY KEY, version bigint NOT NULL)",
            "CREATE TABLE deposit (op text PRIMARY KEY, account text NOT NULL, version bigint NOT NULL)",
            &format!(
                "CREATE TABLE effect (sequence {sequence}, op text NOT NULL, account text NOT NULL, version bigint NOT NULL,
                                      made_at_ms bigint NOT NULL DEFAULT ({now_ms}))"
            ),
        ] {
            db.execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

pub(crate) async fn execute(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<(), DbErr> {
    store::sql::execute(db, sql, values).await?;
    Ok(())
}

pub(crate) async fn rows(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<QueryResult>, DbErr> {
    store::sql::query_all(db, sql, values).await
}

/// The number that `sql` returns.
pub(crate) async fn number(db: &impl ConnectionTrait, sql: &str) -> Result<i64> {
    number_of(db, sql, []).await
}

/// The number that `sql` returns for these values.
pub(crate) async fn number_of(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<i64> {
    let rows = rows(db, sql, values).await?;
    let row = rows.first().context("a count has a row")?;
    Ok(row.try_get_by_index(0)?)
}
