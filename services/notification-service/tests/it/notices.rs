//! Mails that let users notice changes of their account, and logins from new places.

use contracts::Event;
use contracts::notification::v1::{Notification, NotificationKind, NotificationState};
use rstest::rstest;
use testkit::{StoreKind, eventually_is};
use uuid::Uuid;

use crate::accounts::personal;
use crate::mails::{parsed, shown, text, to};
use crate::samples::{
    became_admin, deleted, logged_in_elsewhere, moved, password_changed, placed, registered,
};
use crate::world::World;

#[rstest]
#[tokio::test]
async fn a_changed_address_is_reported_to_the_address_before(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user = registered("ada@example.com", "Ada");
    world.publish(&user).await;
    let (id, change) = (Uuid::now_v7(), moved(&user, "mallory@example.net"));
    world.publish_version(id, 2, &change).await;
    let sent = world.notification(id, NotificationState::Sent).await;
    assert_eq!(sent.kind(), NotificationKind::EmailChanged);
    assert_eq!(sent.recipient, "ada@example.com");
    let bytes = world.mails().bytes(&sent.notification_id);
    assert_eq!(to(&parsed(&bytes)).1, "ada@example.com");
    // The new address may belong to an attacker.
    assert!(!String::from_utf8_lossy(&bytes).contains("mallory"));

    let order = world.publish(&placed(&user.user_id)).await;
    let later = world.notification(order, NotificationState::Sent).await;
    assert_eq!(later.recipient, "mallory@example.net");
    world.publish_version(id, 2, &change).await;
    world.settled().await;
    assert_eq!(world.of_user(&user.user_id).await.len(), 3);
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_update_of_an_older_release_makes_no_mail(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user = registered("ada@example.com", "Ada");
    let welcome = world.publish(&user).await;
    world.notification(welcome, NotificationState::Sent).await;
    let mut update = moved(&user, "ada@example.net");
    update.previous_email = String::new();
    world.publish_version(Uuid::now_v7(), 2, &update).await;
    let order = world.publish(&placed(&user.user_id)).await;
    world.notification(order, NotificationState::Sent).await;
    world.settled().await;
    assert_eq!(world.of_user(&user.user_id).await.len(), 2);
    world.stop().await;
}

/// In both forms.
async fn mailed<E: Event>(world: &World, version: i64, event: &E) -> (Notification, [String; 2]) {
    let id = Uuid::now_v7();
    world.publish_version(id, version, event).await;
    let sent = world.notification(id, NotificationState::Sent).await;
    let bytes = world.mails().bytes(&sent.notification_id);
    let mail = parsed(&bytes);
    let forms = [text(&mail), shown(&crate::mails::html(&mail))];
    (sent, forms)
}

#[rstest]
#[tokio::test]
async fn password_role_and_place_are_reported_and_erased(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user = registered("ada@example.com", "Ada");
    world.publish(&user).await;

    let (sent, _) = mailed(&world, 2, &password_changed(&user)).await;
    assert_eq!(sent.kind(), NotificationKind::PasswordChanged);
    let (sent, forms) = mailed(&world, 3, &became_admin(&user)).await;
    assert_eq!(sent.kind(), NotificationKind::RoleChanged);
    for form in forms {
        assert!(form.contains("Role: admin"), "{form}");
        assert!(form.contains("Before: user"), "{form}");
    }
    let (sent, forms) = mailed(&world, 1, &logged_in_elsewhere(&user)).await;
    assert_eq!(sent.kind(), NotificationKind::NewPlace);
    assert_eq!(sent.recipient, "ada@example.com");
    for form in forms {
        assert!(form.contains("Network: 203.0.113.0/24"), "{form}");
        assert!(form.contains("Time: 2096-10-02 07:06:40 UTC"), "{form}");
    }
    world
        .publish_version(Uuid::now_v7(), 4, &deleted(&user))
        .await;
    eventually_is("nothing personal is left", String::new(), async || {
        personal(&world).await
    })
    .await;
    world.stop().await;
}
