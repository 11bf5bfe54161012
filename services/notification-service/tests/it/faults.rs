//! The database away, and back.

use std::time::{Duration, Instant};

use contracts::notification::v1::{ListNotificationsRequest, NotificationState};
use notification_service::config::Delivery;
use runtime::config::DatabaseConfig;
use testkit::{Database, Proxy, StoreKind, eventually, reason};
use tonic::Code;

use crate::world::{World, registered};

#[tokio::test]
async fn while_the_database_is_away_calls_say_so_at_once_and_events_wait() {
    let database = Database::create(StoreKind::Postgres).await;
    let proxy = Proxy::before(database.url()).await;
    let config = DatabaseConfig {
        acquire_timeout: Duration::from_millis(500),
        ..DatabaseConfig::new(proxy.url())
    };
    let delivery = |folder: &tempfile::TempDir| Delivery::Folder(folder.path().join("mails"));
    let world = World::on(database, config, delivery).await;
    world
        .list(ListNotificationsRequest::default())
        .await
        .unwrap();

    proxy.cut();
    let event_id = world.publish(&registered("ada@example.com", "Ada")).await;
    let begun = Instant::now();
    let refused = world.list(ListNotificationsRequest::default()).await;
    let refused = refused.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(reason(&refused), "DATABASE_UNAVAILABLE");
    for word in [
        "SELECT",
        "notification",
        "sqlx",
        "postgres",
        "pool",
        "refused",
    ] {
        assert!(!refused.message().contains(word), "{}", refused.message());
    }

    proxy.mend();
    eventually("calls are answered again", async || {
        world.list(ListNotificationsRequest::default()).await
    })
    .await;
    world.notification(event_id, NotificationState::Sent).await;
    assert_eq!(world.mails().names().len(), 1);
    world.stop().await;
}
