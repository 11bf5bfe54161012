//! Events of different aggregates arrive in any order: a handler that runs too early fails, and succeeds later.

use contracts::notification::v1::NotificationKind;
use contracts::order::v1::OrderPlaced;
use contracts::user::v1::UserCreated;
use rstest::rstest;
use testkit::{Stack, eventually};
use uuid::Uuid;

use crate::system::{Running, line};

#[rstest]
#[tokio::test]
async fn a_handler_that_fails_twice_and_then_works_has_one_effect(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = Running::start(stack).await;
    let user_id = Uuid::now_v7().to_string();
    let placed = OrderPlaced {
        order_id: Uuid::now_v7().to_string(),
        user_id: user_id.clone(),
        total_price: line().unit_price,
        lines: vec![line()],
        create_time: None,
    };
    system.publish(Uuid::now_v7(), &placed).await;
    eventually("the handler has failed twice", async || {
        let rows = system
            .query(
                notification_service::NAME,
                "SELECT attempts FROM angarium_inbox WHERE state = 'deferred'",
            )
            .await;
        let attempts: i32 = rows
            .first()
            .map_or(0, |row| row.try_get("", "attempts").unwrap());
        if attempts >= 2 { Ok(()) } else { Err(attempts) }
    })
    .await;
    assert!(system.mails(&user_id).await.is_empty());

    let created = UserCreated {
        user_id: user_id.clone(),
        email: "ada@example.com".to_owned(),
        display_name: "Ada".to_owned(),
        create_time: None,
    };
    system.publish(Uuid::now_v7(), &created).await;
    assert_eq!(
        system
            .sent(&user_id, NotificationKind::OrderPlaced)
            .await
            .len(),
        1
    );
    assert_eq!(
        system.sent(&user_id, NotificationKind::Welcome).await.len(),
        1
    );
    system.stop().await;
}
