//! The database goes away and comes back.

use std::time::{Duration, Instant};

use contracts::notification::v1::{ListNotificationsRequest, NotificationState};
use messaging::Store;
use store::DatabaseConfig;
use testkit::{Database, Proxy, StoreKind, eventually, eventually_is, outbox, reason};
use tonic::Code;

use crate::fixture::Fixture;
use crate::post::Post;
use crate::samples::registered;
use crate::senders::Gate;

#[tokio::test]
async fn without_the_database_calls_fail_fast_and_events_wait() {
    let database = Database::create(StoreKind::Postgres).await;
    let proxy = Proxy::before(database.url()).await;
    let config = DatabaseConfig {
        acquire_timeout: Duration::from_secs(2),
        ..DatabaseConfig::new(proxy.url())
    };
    let fixture = Fixture::on(database, config).await;
    fixture
        .list(ListNotificationsRequest::default())
        .await
        .unwrap();

    proxy.cut();
    let event_id = fixture.publish(&registered("ada@example.com", "Ada")).await;
    let begun = Instant::now();
    let refused = fixture.list(ListNotificationsRequest::default()).await;
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
        fixture.list(ListNotificationsRequest::default()).await
    })
    .await;
    fixture
        .notification(event_id, NotificationState::Sent)
        .await;
    assert_eq!(fixture.mails().names().len(), 1);
    fixture.stop().await;
}

#[tokio::test]
async fn a_mail_that_waits_for_its_record_is_not_sent_twice() {
    let mut post = Post::new(StoreKind::Postgres).await;
    let proxy = Proxy::before(post.database.url()).await;
    let config = DatabaseConfig::new(proxy.url());
    let db = store::connect(&config, "test").await.unwrap();
    post.write().await;
    let gate = Gate::closed();
    post.start_on(Store::new(db), gate.clone(), Duration::from_secs(30));
    gate.reached_by(1).await;

    proxy.cut();
    gate.open();
    eventually_is("the mail is sent", 1, async || gate.sent.lock().await.len()).await;
    assert_eq!(post.count("state = 'pending'").await, 1);
    proxy.mend();
    post.come_to("sent", 1).await;
    assert_eq!(gate.sent.lock().await.len(), 1);
    assert_eq!(post.count("attempts = 1 AND repeats = 0").await, 1);
    post.end().await;
}

#[tokio::test]
async fn a_lease_that_ends_in_an_outage_causes_no_second_mail() {
    let mut post = Post::new(StoreKind::Postgres).await;
    let proxy = Proxy::before(post.database.url()).await;
    let config = DatabaseConfig {
        acquire_timeout: Duration::from_secs(2),
        ..DatabaseConfig::new(proxy.url())
    };
    let db = store::connect(&config, "test").await.unwrap();
    post.write().await;
    let gate = Gate::closed();
    post.start_on(Store::new(db), gate.clone(), Duration::from_secs(30));
    gate.reached_by(1).await;

    proxy.cut();
    gate.open();
    eventually_is("the mail is sent", 1, async || gate.sent.lock().await.len()).await;
    // As after the end of the lease. Without the outbox nothing can be recorded, so the mailer finds the mail first.
    post.execute("UPDATE notification SET due_at_ms = 0").await;
    post.execute("ALTER TABLE angarium_outbox RENAME TO hidden_outbox")
        .await;
    proxy.mend();
    eventually_is("the mail has a lease again", 1, async || {
        post.count("due_at_ms > 0").await
    })
    .await;
    post.execute("ALTER TABLE hidden_outbox RENAME TO angarium_outbox")
        .await;
    post.come_to("sent", 1).await;
    post.end().await;
    assert_eq!(gate.sent.lock().await.len(), 1);
    assert_eq!(post.count("attempts = 1 AND repeats = 0").await, 1);
    assert_eq!(outbox(&post.db).await.len(), 1);
}
