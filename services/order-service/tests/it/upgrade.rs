//! A newer release has migrated the database: this release keeps running, and can start.

use contracts::order::v1::ListOrdersRequest;
use contracts::order::v1::order_service_client::OrderServiceClient;
use order_service::migrations::Migrator;
use rstest::rstest;
use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait};
use store::DatabaseConfig;
use testkit::{Database, StoreKind};
use uuid::Uuid;

use crate::fixture::Fixture;
use crate::samples::tea_for;

const TABLES: [&str; 13] = [
    "angarium_outbox",
    "angarium_outbox_history",
    "angarium_relay_lease",
    "angarium_inbox",
    "angarium_position",
    "angarium_dead_letter_decision",
    "angarium_erased_person",
    "angarium_verification_key",
    "angarium_idempotency",
    "angarium_page_token_key",
    "orders",
    "order_line",
    "known_user",
];

/// Each table has one more column.
struct NextRelease;

impl MigratorTrait for NextRelease {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations = Migrator::migrations();
        migrations.push(Box::new(MoreColumns));
        migrations
    }
}

struct MoreColumns;

impl MigrationName for MoreColumns {
    fn name(&self) -> &str {
        "m20991231_000001_more_columns"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for MoreColumns {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for table in TABLES {
            let adding = format!("ALTER TABLE {table} ADD COLUMN of_the_next_release text");
            db.execute_unprepared(&adding).await?;
        }
        Ok(())
    }
}

#[rstest]
#[tokio::test]
async fn a_schema_of_the_next_release_disturbs_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    // Few connections: each has prepared every statement by then.
    let config = DatabaseConfig {
        pool_max: 2,
        ..database.config()
    };
    let fixture = Fixture::on(database, config).await;
    for _ in 0..3 {
        everything_works(&fixture).await;
    }
    store::migrate::<NextRelease>(&fixture.db).await.unwrap();
    for _ in 0..3 {
        everything_works(&fixture).await;
    }

    // As after a restart or a rollback of the release.
    let restarted = fixture.replica().await;
    let orders = OrderServiceClient::new(restarted.channel())
        .list_orders(fixture.by_admin(ListOrdersRequest::default()))
        .await
        .unwrap();
    assert_eq!(orders.into_inner().orders.len(), 12);
    restarted.stop().await;
    fixture.stop().await;
}

/// With calls and events that use each table.
async fn everything_works(fixture: &Fixture) {
    let user_id = fixture.known_user().await;
    let mut request = tea_for(&user_id);
    request.request_id = Uuid::now_v7().to_string();
    let placed = fixture.place(request.clone()).await.unwrap();
    assert_eq!(fixture.place(request).await.unwrap(), placed);
    fixture.confirm(&placed.order_id).await.unwrap();
    fixture.ship(&placed.order_id).await.unwrap();
    let other = fixture.place(tea_for(&user_id)).await.unwrap();
    fixture
        .cancel(&other.order_id, "changed my mind")
        .await
        .unwrap();
    let list = ListOrdersRequest {
        user_id,
        page_size: 1,
        ..ListOrdersRequest::default()
    };
    let page = fixture.client().list_orders(fixture.by_admin(list)).await;
    assert!(!page.unwrap().into_inner().next_page_token.is_empty());
    fixture.settled().await;
}
