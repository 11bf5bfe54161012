//! The broker may deliver an event more than once; its effects happen once.

use contracts::notification::v1::NotificationKind;
use contracts::user::v1::UserCreated;
use rstest::rstest;
use testkit::{Stack, eventually_is};
use uuid::Uuid;

use crate::system::Running;

#[rstest]
#[tokio::test]
async fn a_repeated_event_has_one_effect_at_each_consumer(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = Running::start(stack).await;
    let created = UserCreated {
        user_id: Uuid::now_v7().to_string(),
        email: "ada@example.com".to_owned(),
        display_name: "Ada".to_owned(),
        create_time: None,
    };
    let (id, marker) = (
        Uuid::now_v7(),
        UserCreated {
            user_id: Uuid::now_v7().to_string(),
            ..created.clone()
        },
    );
    system.publish(id, &created).await;
    system.publish(id, &created).await;
    // A queue is ordered: after the third, both before it have been handled.
    system.publish(Uuid::now_v7(), &marker).await;
    system
        .sent(&marker.user_id, NotificationKind::Welcome)
        .await;
    eventually_is("the order service has handled all three", 2, async || {
        system
            .query(order_service::NAME, "SELECT user_id FROM known_user")
            .await
            .len()
    })
    .await;

    assert_eq!(
        system
            .sent(&created.user_id, NotificationKind::Welcome)
            .await
            .len(),
        1
    );
    let seen = "SELECT state FROM angarium_inbox WHERE state = 'done' AND event_type = 'angarium.user.v1.UserCreated'";
    assert_eq!(
        system.query(notification_service::NAME, seen).await.len(),
        2
    );
    assert_eq!(system.query(order_service::NAME, seen).await.len(), 2);
    system.stop().await;
}
