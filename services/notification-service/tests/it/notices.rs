//! Mails that let users notice changes of their account, and logins from new places.

use contracts::Event;
use contracts::notification::v1::{Notification, NotificationKind, NotificationState};
use rstest::rstest;
use testkit::{StoreKind, eventually_is};
use uuid::Uuid;

use crate::accounts::personal;
use crate::fixture::Fixture;
use crate::mails::{parsed, shown, text, to};
use crate::samples::{
    became_admin, deleted, logged_in_elsewhere, moved, password_changed, placed, registered,
};

#[rstest]
#[tokio::test]
async fn a_changed_address_is_reported_to_the_address_before(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    fixture.publish(&user).await;
    let (id, change) = (Uuid::now_v7(), moved(&user, "mallory@example.net"));
    fixture.publish_version(id, 2, &change).await;
    let sent = fixture.notification(id, NotificationState::Sent).await;
    assert_eq!(sent.kind(), NotificationKind::EmailChanged);
    assert_eq!(sent.recipient, "ada@example.com");
    let bytes = fixture.mails().bytes(&sent.notification_id);
    assert_eq!(to(&parsed(&bytes)).1, "ada@example.com");
    // The new address may belong to an attacker.
    assert!(!String::from_utf8_lossy(&bytes).contains("mallory"));

    let order = fixture.publish(&placed(&user.user_id)).await;
    let later = fixture.notification(order, NotificationState::Sent).await;
    assert_eq!(later.recipient, "mallory@example.net");
    fixture.publish_version(id, 2, &change).await;
    fixture.settled().await;
    assert_eq!(fixture.of_user(&user.user_id).await.len(), 3);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_update_of_an_older_release_makes_no_mail(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    let welcome = fixture.publish(&user).await;
    fixture.notification(welcome, NotificationState::Sent).await;
    let mut update = moved(&user, "ada@example.net");
    update.previous_email = String::new();
    fixture.publish_version(Uuid::now_v7(), 2, &update).await;
    let order = fixture.publish(&placed(&user.user_id)).await;
    fixture.notification(order, NotificationState::Sent).await;
    fixture.settled().await;
    assert_eq!(fixture.of_user(&user.user_id).await.len(), 2);
    fixture.stop().await;
}

/// In both forms.
async fn mailed<E: Event>(
    fixture: &Fixture,
    version: i64,
    event: &E,
) -> (Notification, [String; 2]) {
    let id = Uuid::now_v7();
    fixture.publish_version(id, version, event).await;
    let sent = fixture.notification(id, NotificationState::Sent).await;
    let bytes = fixture.mails().bytes(&sent.notification_id);
    let mail = parsed(&bytes);
    let forms = [text(&mail), shown(&crate::mails::html(&mail))];
    (sent, forms)
}

#[rstest]
#[tokio::test]
async fn password_role_and_place_are_reported_and_erased(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    fixture.publish(&user).await;

    let (sent, _) = mailed(&fixture, 2, &password_changed(&user)).await;
    assert_eq!(sent.kind(), NotificationKind::PasswordChanged);
    let (sent, forms) = mailed(&fixture, 3, &became_admin(&user)).await;
    assert_eq!(sent.kind(), NotificationKind::RoleChanged);
    for form in forms {
        assert!(form.contains("Role: admin"), "{form}");
        assert!(form.contains("Before: user"), "{form}");
    }
    let (sent, forms) = mailed(&fixture, 1, &logged_in_elsewhere(&user)).await;
    assert_eq!(sent.kind(), NotificationKind::NewPlace);
    assert_eq!(sent.recipient, "ada@example.com");
    for form in forms {
        assert!(form.contains("Network: 203.0.113.0/24"), "{form}");
        assert!(form.contains("Time: 2096-10-02 07:06:40 UTC"), "{form}");
    }
    fixture
        .publish_version(Uuid::now_v7(), 4, &deleted(&user))
        .await;
    eventually_is("nothing personal is left", String::new(), async || {
        personal(&fixture).await
    })
    .await;
    fixture.stop().await;
}
