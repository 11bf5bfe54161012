//! The address of a recipient is kept current, and no personal data outlives the account.

use std::collections::HashSet;
use std::time::Duration;

use contracts::notification::v1::{NotificationFailed, NotificationKind, NotificationState};
use messaging::trace::TraceContext;
use messaging::{Cause, Store};
use notification_service::config::Delivery;
use notification_service::kinds::Kind;
use notification_service::migrations::Migrator;
use notification_service::notification::{Letter, State};
use notification_service::store::{self, pending, recipients};
use notification_service::user_deletion::Mails;
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use service::user_deletion::settle_some;
use testkit::{Database, StoreKind, eventually_is, outbox, value};
use uuid::Uuid;

use crate::fixture::Fixture;
use crate::mails::{parsed, to};
use crate::samples::{cancelled, deleted, moved, placed, registered, verification};

/// In the tables, as one text.
pub(crate) async fn personal(fixture: &Fixture) -> String {
    let mails: Option<String> = fixture
        .value(
            "SELECT max(email || display_name || body_text || body_html || coalesce(failure, '')) FROM notification",
        )
        .await;
    let users: Option<String> = fixture
        .value("SELECT max(email || display_name) FROM recipient")
        .await;
    format!("{}{}", mails.unwrap_or_default(), users.unwrap_or_default())
}

#[rstest]
#[tokio::test]
async fn mails_go_to_the_latest_address_for_any_order_of_events(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    let newest = moved(&user, "ada@example.net");
    fixture.publish_version(Uuid::now_v7(), 3, &newest).await;
    fixture.settled().await;
    let older = moved(&user, "ada@example.org");
    fixture.publish_version(Uuid::now_v7(), 2, &older).await;
    fixture.settled().await;
    let welcome = fixture.publish(&user).await;
    let order = fixture.publish(&placed(&user.user_id)).await;
    for event_id in [welcome, order] {
        let sent = fixture
            .notification(event_id, NotificationState::Sent)
            .await;
        assert_eq!(sent.recipient, "ada@example.net");
        let bytes = fixture.mails().bytes(&sent.notification_id);
        assert_eq!(to(&parsed(&bytes)).1, "ada@example.net");
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_deleted_account_leaves_a_last_mail_and_nothing_personal(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada Lovelace");
    let welcome = fixture.publish(&user).await;
    let order = fixture.publish(&placed(&user.user_id)).await;
    for event_id in [welcome, order] {
        fixture
            .notification(event_id, NotificationState::Sent)
            .await;
    }
    let end = Uuid::now_v7();
    fixture.publish_version(end, 2, &deleted(&user)).await;
    let last = fixture.notification(end, NotificationState::Sent).await;
    assert_eq!(last.kind(), NotificationKind::AccountDeleted);
    let bytes = fixture.mails().bytes(&last.notification_id);
    assert_eq!(to(&parsed(&bytes)).1, "ada@example.com");

    eventually_is("nothing personal is left", String::new(), async || {
        personal(&fixture).await
    })
    .await;
    // Number, times and kinds of the mails stay.
    let all = fixture.of_user(&user.user_id).await;
    assert_eq!(all.len(), 3);
    for one in all {
        assert_eq!(one.recipient, "");
        assert_eq!(one.state(), NotificationState::Sent);
        assert!(one.send_time.is_some() && !one.subject.is_empty());
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_comes_after_the_deletion_makes_no_mail(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    // Also if the deletion is the first event of the user.
    fixture
        .publish_version(Uuid::now_v7(), 3, &deleted(&user))
        .await;
    fixture.settled().await;
    fixture.publish(&user).await;
    let update = moved(&user, "ada@example.org");
    fixture.publish_version(Uuid::now_v7(), 2, &update).await;
    fixture.publish(&placed(&user.user_id)).await;
    fixture.publish(&cancelled(&user.user_id, "")).await;
    fixture.publish(&verification(&user, "ABCD-EFGH")).await;
    fixture.settled().await;
    let done = "SELECT count(*) FROM angarium_inbox WHERE state = 'done'";
    eventually_is("all were handled", 6, async || {
        fixture.value::<i64>(done).await
    })
    .await;
    assert_eq!(fixture.of_user("").await.len(), 0);
    assert_eq!(personal(&fixture).await, "");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn pending_mails_are_dropped_with_the_account_and_published(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    // No server listens on port 1: everything stays pending.
    let nowhere = notification_service::sender::SmtpServer::parse("smtp://127.0.0.1:1").unwrap();
    let fixture = Fixture::sending(store, |_| Delivery::Smtp(nowhere)).await;
    let user = registered("ada@example.com", "Ada");
    let code = fixture.publish(&verification(&user, "ABCD-EFGH")).await;
    fixture.notification(code, NotificationState::Pending).await;
    let end = Uuid::now_v7();
    fixture.publish_version(end, 2, &deleted(&user)).await;

    let dropped = fixture.notification(code, NotificationState::Failed).await;
    assert_eq!(
        dropped.failure,
        "the account was deleted before the mail was sent"
    );
    assert_eq!(dropped.recipient, "");
    let sealed = "SELECT count(*) FROM notification WHERE sealed_code IS NOT NULL";
    assert_eq!(fixture.value::<i64>(sealed).await, 0);
    let promised = outbox(&fixture.db).await;
    assert_eq!(promised.len(), 1, "{promised:?}");
    let failed: NotificationFailed = promised[0].decode();
    assert_eq!(failed.notification_id, dropped.notification_id);
    assert_eq!(failed.failure, dropped.failure);
    // Only the last mail still has the address.
    let last = fixture.notification(end, NotificationState::Pending).await;
    assert_eq!(last.recipient, "ada@example.com");
    fixture.stop().await;
}

#[tokio::test]
async fn a_deletion_waits_for_transactions_that_write_to_the_user() {
    let fixture = Fixture::new(StoreKind::Postgres).await;
    let user = registered("ada@example.com", "Ada");
    let event_id = fixture.publish(&user).await;
    fixture
        .notification(event_id, NotificationState::Sent)
        .await;
    let user_id: Uuid = user.user_id.parse().unwrap();

    let writing = ::store::Transaction::begin(&fixture.db).await.unwrap();
    recipients::find(&writing, user_id).await.unwrap();
    let deleting = ::store::Transaction::begin(&fixture.db).await.unwrap();
    let impatient = "SET LOCAL lock_timeout = '1ms'";
    deleting.execute_unprepared(impatient).await.unwrap();
    let waits = recipients::erase(&deleting, user_id, &Cause::call(""))
        .await
        .err()
        .unwrap();
    assert!(waits.to_string().contains("lock timeout"), "{waits}");
    deleting.rollback().await.unwrap();

    writing.commit().await.unwrap();
    let deleting = ::store::Transaction::begin(&fixture.db).await.unwrap();
    let erased = recipients::erase(&deleting, user_id, &Cause::call(""))
        .await
        .unwrap();
    assert!(erased.is_some());
    deleting.rollback().await.unwrap();
    fixture.stop().await;
}

/// As many as handlers write over the years.
async fn mails_in_state(db: &::store::Database, user_id: Uuid, state: State, how_many: u64) {
    for _ in 0..how_many {
        let letter = Letter {
            id: Uuid::now_v7(),
            user_id,
            kind: Kind::OrderPlaced,
            event_id: Uuid::now_v7(),
            email: "ada@example.com".to_owned(),
            display_name: "Ada".to_owned(),
            subject: "Order".to_owned(),
            text: "Dear Ada".to_owned(),
            html: "<p>Dear Ada</p>".to_owned(),
            code: None,
            original_id: None,
            order_id: None,
            suppressed: false,
            created_at_ms: 0,
            correlation_id: String::new(),
            trace: TraceContext::default(),
        };
        store::insert_letter(db, &letter).await.unwrap();
    }
    if state == State::Sent {
        let sent = "UPDATE notification SET state = 'sent', sent_at_ms = 1 WHERE state = 'pending'";
        db.execute_unprepared(sent).await.unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn the_work_of_a_deletion_is_done_in_parts_by_any_worker(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] kind: StoreKind,
) {
    let database = Database::create(kind).await;
    let store = Store::new(database.migrated::<Migrator>().await);
    let (db, user_id) = (store.connection(), Uuid::now_v7());
    mails_in_state(db, user_id, State::Sent, 1_100).await;
    mails_in_state(db, user_id, State::Pending, 120).await;
    let left = async || {
        let (all, pending) = (
            "SELECT count(*) FROM notification WHERE email <> ''",
            "SELECT count(*) FROM notification WHERE state = 'pending'",
        );
        (value::<i64>(db, all).await, value::<i64>(db, pending).await)
    };
    assert_eq!(left().await, (1_220, 120));
    recipients::erase(db, user_id, &Cause::call("because"))
        .await
        .unwrap();

    let mut steps = Vec::new();
    // Each call is another worker, as if the previous one had died.
    while settle_some::<Mails>(&store).await.unwrap() {
        steps.push(left().await);
    }
    let expected = [
        (1_170, 70),
        (1_120, 20),
        (1_100, 0),
        (600, 0),
        (100, 0),
        (0, 0),
        // The last round finds no rows.
        (0, 0),
    ];
    assert_eq!(steps, expected);
    let wakeup = store.wakeup("test", recipients::MARKED.due_in_ms());
    assert_eq!(wakeup.ask().await.unwrap(), None);
    let promised = outbox(db).await;
    assert_eq!(promised.len(), 120);
    let failed: NotificationFailed = promised[0].decode();
    assert_eq!(failed.user_id, user_id.to_string());
}

#[rstest]
#[tokio::test]
async fn a_mail_to_a_deleted_user_is_not_leased_before_it_is_dropped(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] kind: StoreKind,
) {
    let database = Database::create(kind).await;
    let store = Store::new(database.migrated::<Migrator>().await);
    let (db, user_id) = (store.connection(), Uuid::now_v7());
    mails_in_state(db, user_id, State::Pending, 1).await;
    let wakeup = store.wakeup("test", pending::due_in_ms());
    assert_eq!(wakeup.ask().await.unwrap(), Some(Duration::ZERO));
    recipients::erase(db, user_id, &Cause::call("because"))
        .await
        .unwrap();
    assert_eq!(wakeup.ask().await.unwrap(), None);
    let taken = pending::take_up(&store, Duration::from_secs(10), 8, &HashSet::new()).await;
    assert!(taken.unwrap().is_empty());
}
