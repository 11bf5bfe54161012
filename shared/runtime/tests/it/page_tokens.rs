//! The key of page tokens: the same for all replicas and restarts on a database.

use rstest::rstest;
use runtime::PageTokens;
use sea_orm_migration::prelude::*;
use testkit::{Database, StoreKind};
use uuid::Uuid;

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        runtime::migrations()
    }
}

#[rstest]
#[tokio::test]
async fn replicas_share_the_key_that_the_first_start_has_made(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    let db = database.migrated::<Migrator>().await;
    let (first, second) = futures::join!(PageTokens::open(&db), PageTokens::open(&db));
    let last = Uuid::now_v7();
    let token = first.unwrap().issue(last, "a list");
    assert_eq!(second.unwrap().read(&token, "a list"), Ok(last));

    let elsewhere = Database::create(store).await;
    let elsewhere = elsewhere.migrated::<Migrator>().await;
    let other = PageTokens::open(&elsewhere).await.unwrap();
    assert!(other.read(&token, "a list").is_err());
}
