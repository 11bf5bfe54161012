//! Migrations under an operator's control: they never block commands for long, and a start can wait for them.

use std::time::{Duration, Instant};

use rstest::rstest;
use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait};
use store::{DatabaseConfig, DatabaseError, Migrate, Transaction, ready_schema, sql};
use testkit::{Database, StoreKind, eventually_is};

use crate::sqlite::{self, count, insert};

struct Step(&'static str, &'static str, Option<bool>);

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.0
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        db.execute_unprepared(self.1).await.map(|_| ())
    }

    fn use_transaction(&self) -> Option<bool> {
        self.2
    }
}

struct Column;

impl MigratorTrait for Column {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations = sqlite::Migrator::migrations();
        let adding = "ALTER TABLE things ADD COLUMN colour text";
        migrations.push(Box::new(Step("m20261201_000002_add_colour", adding, None)));
        migrations
    }
}

/// Built while other sessions write.
struct Index;

impl MigratorTrait for Index {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations = Column::migrations();
        let indexing = "CREATE INDEX CONCURRENTLY things_by_colour ON things (colour)";
        let step = Step("m20261201_000003_index_colours", indexing, Some(false));
        migrations.push(Box::new(step));
        migrations
    }
}

fn with(database: &Database, migrate: Migrate, patience: Duration) -> DatabaseConfig {
    DatabaseConfig {
        migrate,
        patience,
        ..database.config()
    }
}

/// `pg_dump` reads all tables in one long transaction.
#[tokio::test]
async fn a_migration_behind_a_backup_keeps_commands_waiting_briefly() {
    let database = Database::create(StoreKind::Postgres).await;
    let db = database.migrated::<sqlite::Migrator>().await;
    let backup = Transaction::begin(&db).await.unwrap();
    let locking = "LOCK TABLE things IN ACCESS SHARE MODE";
    backup.execute_unprepared(locking).await.unwrap();

    let other = database.connect().await;
    let migrating = store::migrate::<Column>(&other);
    let commanding = async {
        let waiting = "SELECT count(*) AS waiting FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        eventually_is("the migration waits for the table", 1, async || {
            let row = sql::query_one(&db, waiting, []).await.unwrap().unwrap();
            row.try_get::<i64>("", "waiting").unwrap()
        })
        .await;
        let mut longest = Duration::ZERO;
        let begun = Instant::now();
        let mut number = 0;
        while begun.elapsed() < Duration::from_secs(5) {
            let called = Instant::now();
            insert(&db, &number.to_string()).await.unwrap();
            longest = longest.max(called.elapsed());
            number += 1;
        }
        backup.commit().await.unwrap();
        (longest, number)
    };
    let (migrated, (longest, commands)) = tokio::join!(migrating, commanding);
    migrated.unwrap();
    // The limit is two seconds; a busy machine may add to it.
    assert!(longest < Duration::from_secs(4), "{longest:?}");
    assert!(commands > 10, "{commands} commands in five seconds");
    let reading = "SELECT colour FROM things LIMIT 1";
    sql::query_all(&db, reading, []).await.unwrap();
}

#[tokio::test]
async fn an_index_is_built_while_others_write() {
    let database = Database::create(StoreKind::Postgres).await;
    let db = database.migrated::<Column>().await;
    let writer = Transaction::begin(&db).await.unwrap();
    insert(&writer, "before").await.unwrap();
    let other = database.connect().await;
    let migrating = store::migrate::<Index>(&other);
    let writing = async {
        let waiting = "SELECT count(*) AS waiting FROM pg_stat_activity
            WHERE datname = current_database() AND query LIKE 'CREATE INDEX%' AND wait_event_type = 'Lock'";
        eventually_is("the index waits for the writer", 1, async || {
            let row = sql::query_one(&db, waiting, []).await.unwrap().unwrap();
            row.try_get::<i64>("", "waiting").unwrap()
        })
        .await;
        insert(&db, "beside").await.unwrap();
        writer.commit().await.unwrap();
    };
    let (migrated, ()) = tokio::join!(migrating, writing);
    migrated.unwrap();
    assert_eq!(count(&db).await, 2);
    let valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'things_by_colour'::regclass";
    let row = sql::query_one(&db, valid, []).await.unwrap().unwrap();
    assert!(row.try_get::<bool>("", "indisvalid").unwrap());
}

#[rstest]
#[tokio::test]
async fn a_start_waits_for_the_operators_migration(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] kind: StoreKind,
) {
    let database = Database::create(kind).await;
    let patience = Duration::from_secs(60);
    let config = with(&database, Migrate::Off, patience);
    let db = database.connect().await;
    let starting = ready_schema::<sqlite::Migrator>(&db, &config);
    let operating = async {
        tokio::task::yield_now().await;
        store::migrate_at::<sqlite::Migrator>(&config, "operator").await
    };
    let (started, applied) = tokio::join!(starting, operating);
    started.unwrap();
    assert_eq!(applied.unwrap(), ["m20261123_000001_create_things"]);
    let again = store::migrate_at::<sqlite::Migrator>(&config, "operator").await;
    assert_eq!(again.unwrap(), [""; 0]);
    insert(&db, "a").await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_start_without_its_schema_names_what_is_missing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] kind: StoreKind,
) {
    let database = Database::create(kind).await;
    let db = database.connect().await;
    let off = with(&database, Migrate::Off, Duration::ZERO);
    let error = ready_schema::<sqlite::Migrator>(&db, &off).await;
    let error = error.unwrap_err();
    assert!(matches!(error, DatabaseError::SchemaMissing { .. }));
    assert!(!error.is_misconfiguration());
    let check = with(&database, Migrate::Check, Duration::ZERO);
    let error = ready_schema::<sqlite::Migrator>(&db, &check).await;
    let error = error.unwrap_err();
    assert!(error.is_misconfiguration());
    assert!(error.to_string().contains("m20261123_000001_create_things"));
    store::migrate::<sqlite::Migrator>(&db).await.unwrap();
    for config in [off, check] {
        ready_schema::<sqlite::Migrator>(&db, &config)
            .await
            .unwrap();
    }
}
