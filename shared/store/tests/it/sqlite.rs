//! SQLite with the settings that durability needs, on every connection.

use std::time::Duration;

use futures::future::join_all;
use sea_orm::{ConnectionTrait, Statement, TransactionTrait as _};
use sea_orm_migration::prelude::*;
use store::{DatabaseConfig, Transaction};
use tempfile::TempDir;

/// Its migration fails if it runs twice.
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(CreateThings)]
    }
}

struct CreateThings;

impl MigrationName for CreateThings {
    fn name(&self) -> &str {
        "m20261123_000001_create_things"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CreateThings {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statement =
            "CREATE TABLE things (name text NOT NULL CONSTRAINT things_name_key UNIQUE)";
        let connection = manager.get_connection();
        connection.execute_unprepared(statement).await?;
        Ok(())
    }
}

fn config(folder: &TempDir) -> DatabaseConfig {
    DatabaseConfig::sqlite(folder.path().join("data/deep/things.db"))
}

async fn pragma(connection: &impl ConnectionTrait, name: &str) -> String {
    let sql = format!("SELECT CAST((SELECT * FROM pragma_{name}) AS text) AS value");
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get("", "value").unwrap()
}

pub(crate) async fn insert(db: &impl ConnectionTrait, name: &str) -> Result<(), DbErr> {
    let inserting = "INSERT INTO things (name) VALUES ($1)";
    store::sql::execute(db, inserting, [name.into()])
        .await
        .map(|_| ())
}

pub(crate) async fn count(db: &store::Database) -> i64 {
    let sql = "SELECT count(*) AS n FROM things";
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get("", "n").unwrap()
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "`store::Transaction` lets one transaction at a time write"
)]
async fn every_pooled_connection_has_the_durable_settings() {
    let folder = tempfile::tempdir().unwrap();
    let db = store::connect(&config(&folder), "test").await.unwrap();
    let mut held = Vec::new();
    for _ in 0..5 {
        let transaction = db.begin().await.unwrap();
        for (name, value) in [
            ("journal_mode", "wal"),
            ("synchronous", "2"),
            ("foreign_keys", "1"),
            ("busy_timeout", "5000"),
        ] {
            assert_eq!(pragma(&transaction, name).await, value, "{name}");
        }
        held.push(transaction);
    }
}

#[tokio::test]
async fn processes_that_open_a_new_file_together_all_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let opened = join_all((0..8).map(|_| store::connect(&config, "test"))).await;
    for db in opened {
        assert!(store::ping(&db.unwrap()).await);
    }
}

#[tokio::test]
async fn a_folder_of_any_name_holds_its_database() {
    for name in [
        "a?b",
        "100%20",
        "a#b",
        ":memory:",
        "file:x",
        "größe 1",
        "a\nb",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name).join("things.db");
        let config = DatabaseConfig::sqlite(&file);
        let db = store::connect(&config, "test").await.unwrap();
        store::migrate::<Migrator>(&db).await.unwrap();
        insert(&db, "a").await.unwrap();
        assert!(file.is_file(), "{name:?}");
        let found = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(found, 1, "{name:?}: nothing is anywhere else");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let config = DatabaseConfig::sqlite(file.join("things.db"));
    let error = store::connect(&config, "test").await.unwrap_err();
    assert!(error.to_string().contains("a-file"), "{error}");
}

#[tokio::test]
async fn replicas_that_migrate_together_all_succeed() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let replicas = join_all((0..4).map(|_| async {
        let db = store::connect(&config, "test").await.unwrap();
        store::migrate::<Migrator>(&db).await.unwrap();
        db
    }))
    .await;
    assert_eq!(count(&replicas[0]).await, 0);
    store::migrate::<Migrator>(&replicas[1]).await.unwrap();
}

#[tokio::test]
async fn a_taken_name_is_a_unique_violation_and_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let db = store::connect(&config(&folder), "test").await.unwrap();
    store::migrate::<Migrator>(&db).await.unwrap();
    insert(&db, "a").await.unwrap();
    let error = insert(&db, "a").await.unwrap_err();
    assert!(store::is_unique_violation(&error));
    assert!(!store::is_unavailable(&error));
    assert_eq!(
        store::unique_violation(&error).as_deref(),
        Some("things.name")
    );
}

#[tokio::test]
async fn a_locked_file_and_an_empty_pool_are_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.pool_max = 1;
    config.acquire_timeout = Duration::from_millis(50);
    let db = store::connect(&config, "test").await.unwrap();
    let writer = Transaction::begin(&db).await.unwrap();

    let empty = Transaction::begin(&db).await.unwrap_err();
    assert!(store::is_unavailable(&empty), "{empty}");

    let another = store::connect(&config, "test").await.unwrap();
    another
        .execute_unprepared("PRAGMA busy_timeout = 1")
        .await
        .unwrap();
    let locked = Transaction::begin(&another).await.unwrap_err();
    assert!(store::is_unavailable(&locked), "{locked}");
    writer.rollback().await.unwrap();
}
