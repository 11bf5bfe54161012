//! Releases that share a database: an older one on the schema of a newer one, and both at the same time.

use futures::future::join_all;
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait};
use store::DatabaseError;
use testkit::{Database, StoreKind};

use crate::sqlite::{self, count, insert};

struct Step(&'static str, &'static str);

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
}

fn more(steps: impl IntoIterator<Item = Step>) -> Vec<Box<dyn MigrationTrait>> {
    let mut migrations = sqlite::Migrator::migrations();
    for step in steps {
        migrations.push(Box::new(step));
    }
    migrations
}

const ADDED: Step = Step(
    "m20261201_000002_add_colour",
    "ALTER TABLE things ADD COLUMN colour text",
);

type Older = sqlite::Migrator;

struct Newer;

impl MigratorTrait for Newer {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        more([ADDED])
    }
}

struct Mended;

impl MigratorTrait for Mended {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        more([Step(
            "m20261130_000002_index_things",
            "CREATE INDEX things_by_name ON things (name)",
        )])
    }
}

/// It requires releases that know `m20261201_000002_add_colour`.
struct Contracted;

impl MigratorTrait for Contracted {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let contract = Step(
            "m20261202_000003_rename_things_requires_m20261201_000002",
            "ALTER TABLE things RENAME TO objects",
        );
        more([ADDED, contract])
    }
}

async fn start<M: MigratorTrait>(database: &Database) -> Result<store::Database, DatabaseError> {
    let db = database.connect().await;
    store::migrate::<M>(&db).await.map(|()| db)
}

#[rstest]
#[tokio::test]
async fn an_older_release_starts_on_a_newer_schema(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    start::<Newer>(&database).await.unwrap();
    for _ in 0..2 {
        let older = start::<Older>(&database).await.unwrap();
        let before = count(&older).await;
        insert(&older, &before.to_string()).await.unwrap();
        assert_eq!(count(&older).await, before + 1);
    }
    start::<Newer>(&database).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn its_own_missing_migrations_are_applied_all_the_same(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    start::<Newer>(&database).await.unwrap();
    let mended = start::<Mended>(&database).await.unwrap();
    mended
        .execute_unprepared("DROP INDEX things_by_name")
        .await
        .unwrap();
}

#[rstest]
#[tokio::test]
async fn two_releases_that_start_at_once_both_start(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    let older = join_all((0..3).map(|_| start::<Older>(&database)));
    let newer = join_all((0..3).map(|_| start::<Newer>(&database)));
    let (older, newer) = tokio::join!(older, newer);
    for started in older.into_iter().chain(newer) {
        insert(&started.unwrap(), &uuid::Uuid::now_v7().to_string())
            .await
            .unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn a_release_that_cannot_use_the_schema_says_which_it_needs(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    start::<Contracted>(&database).await.unwrap();
    start::<Newer>(&database).await.unwrap();
    let refused = start::<Older>(&database).await.unwrap_err();
    assert!(matches!(refused, DatabaseError::SchemaTooNew(_)));
    let reason = refused.to_string();
    for part in [
        "_rename_things_",
        "`m20261201_000002`",
        "start a newer release",
    ] {
        assert!(reason.contains(part), "{reason}");
    }
}
