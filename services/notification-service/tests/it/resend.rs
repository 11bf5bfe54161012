//! `ResendNotification`: the same mail again, as a separate notification.

use contracts::notification::v1::{Notification, NotificationState, ResendNotificationRequest};
use futures::future::join_all;
use notification_service::config::Delivery;
use rstest::rstest;
use testkit::{StoreKind, eventually, outbox, reason};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::fixture::Fixture;
use crate::mails::{parsed, text, to};
use crate::samples::{deleted, moved, registered, verification};

async fn resend(
    fixture: &Fixture,
    user_id: &str,
    notification_id: &str,
    request_id: &str,
) -> Result<Notification, Status> {
    let request = ResendNotificationRequest {
        notification_id: notification_id.to_owned(),
        request_id: request_id.to_owned(),
    };
    let request = fixture.by(user_id, request);
    let answer = fixture.client().resend_notification(request).await?;
    Ok(answer.into_inner().notification.unwrap())
}

async fn sent(fixture: &Fixture, notification_id: &str) -> Notification {
    eventually("the copy is sent", async || {
        let all = fixture.of_user("").await;
        let found = all
            .iter()
            .find(|one| one.notification_id == notification_id)
            .cloned();
        found
            .filter(|one| one.state() == NotificationState::Sent)
            .ok_or(all)
    })
    .await
}

#[rstest]
#[tokio::test]
async fn a_copy_has_the_text_the_current_address_and_a_new_message_id(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    let event_id = fixture.publish(&user).await;
    let original = fixture
        .notification(event_id, NotificationState::Sent)
        .await;
    let (id, update) = (Uuid::now_v7(), moved(&user, "ada@example.org"));
    fixture.publish_version(id, 2, &update).await;
    fixture.notification(id, NotificationState::Sent).await;

    let copy = resend(&fixture, &user.user_id, &original.notification_id, "")
        .await
        .unwrap();
    assert_eq!(copy.state(), NotificationState::Pending);
    assert_eq!(copy.original_id, original.notification_id);
    assert_eq!(copy.event_id, original.event_id);
    assert_eq!(copy.recipient, "ada@example.org");
    let copy = sent(&fixture, &copy.notification_id).await;

    let [first, second] = [&original, &copy].map(|one| fixture.mails().bytes(&one.notification_id));
    let (first, second) = (parsed(&first), parsed(&second));
    assert_eq!(text(&first), text(&second));
    assert_eq!(first.subject(), second.subject());
    assert_eq!(to(&second).1, "ada@example.org");
    assert_ne!(first.message_id(), second.message_id());
    assert_eq!(outbox(&fixture.db).await.len(), 3);
    // A copy of a copy is a copy of the original.
    let third = resend(&fixture, &user.user_id, &copy.notification_id, "")
        .await
        .unwrap();
    assert_eq!(third.original_id, original.notification_id);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn of_fifty_equal_calls_at_once_one_makes_a_copy_and_all_get_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    let event_id = fixture.publish(&user).await;
    let original = fixture
        .notification(event_id, NotificationState::Sent)
        .await;
    let request_id = Uuid::new_v4().to_string();
    let calls = (0..50).map(|_| {
        resend(
            &fixture,
            &user.user_id,
            &original.notification_id,
            &request_id,
        )
    });
    let answers = join_all(calls).await;
    let first = answers[0].as_ref().unwrap();
    for answer in &answers {
        let answer = answer.as_ref().unwrap();
        assert_eq!(answer.notification_id, first.notification_id);
    }
    assert_eq!(fixture.of_user("").await.len(), 2);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_mail_has_five_copies_at_most_and_one_on_its_way(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    let event_id = fixture.publish(&user).await;
    let original = fixture
        .notification(event_id, NotificationState::Sent)
        .await;
    let id = &original.notification_id;
    for _ in 0..5 {
        let copy = resend(&fixture, &user.user_id, id, "").await.unwrap();
        sent(&fixture, &copy.notification_id).await;
    }
    let refused = resend(&fixture, &user.user_id, id, "").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refused), "NOTIFICATION_COPIED_TOO_OFTEN");

    let one_is_pending = format!(
        "UPDATE notification SET state = 'pending', due_at_ms = {} WHERE original_id = '{id}'",
        i64::MAX
    );
    fixture.execute(&one_is_pending).await;
    let refused = resend(&fixture, &user.user_id, id, "").await.unwrap_err();
    assert_eq!(reason(&refused), "NOTIFICATION_PENDING");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_pending_code_or_erased_mail_is_not_sent_again(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    // No server listens on port 1: everything stays pending.
    let nowhere = || notification_service::sender::SmtpServer::parse("smtp://127.0.0.1:1").unwrap();
    let fixture = Fixture::sending(store, |_| Delivery::Smtp(nowhere())).await;
    let user = registered("ada@example.com", "Ada");
    let id = &user.user_id;
    let event_id = fixture.publish(&user).await;
    let pending = fixture
        .notification(event_id, NotificationState::Pending)
        .await;
    let refused = resend(&fixture, id, &pending.notification_id, "").await;
    assert_eq!(reason(&refused.unwrap_err()), "NOTIFICATION_PENDING");

    let code_id = fixture.publish(&verification(&user, "ABCD-EFGH")).await;
    let code = fixture
        .notification(code_id, NotificationState::Pending)
        .await;
    let refused = resend(&fixture, id, &code.notification_id, "").await;
    assert_eq!(reason(&refused.unwrap_err()), "NOTIFICATION_HOLDS_CODE");

    fixture
        .publish_version(Uuid::now_v7(), 2, &deleted(&user))
        .await;
    fixture
        .notification(event_id, NotificationState::Failed)
        .await;
    let refused = resend(&fixture, id, &pending.notification_id, "").await;
    assert_eq!(reason(&refused.unwrap_err()), "NOTIFICATION_ERASED");
    fixture.stop().await;
}
