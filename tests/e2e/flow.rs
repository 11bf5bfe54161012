//! The main job: users register, orders are placed and cancelled, mails go out.

use contracts::notification::v1::NotificationKind;
use contracts::order::v1::{GetOrderRequest, OrderState};
use rstest::rstest;
use testkit::{Stack, authorized};
use tonic::Code;

use crate::system::Running;

#[rstest]
#[tokio::test]
async fn registering_ordering_and_cancelling_each_sends_one_mail(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = Running::start(stack).await;
    let user_id = system.register("ada@example.com").await;
    let welcome = system.sent(&user_id, NotificationKind::Welcome).await;
    assert!(system.eml(&welcome[0]).contains("ada@example.com"));

    let order = system.order(&user_id).await;
    assert_eq!(order.state(), OrderState::Placed);
    assert_eq!(
        order
            .total_price
            .as_ref()
            .map(|total| (total.units, total.nanos)),
        Some((9, 0))
    );
    system.sent(&user_id, NotificationKind::OrderPlaced).await;

    let cancelled = system.cancel(&order.order_id, "wrong tea").await.unwrap();
    assert_eq!(cancelled.state(), OrderState::Cancelled);
    system
        .sent(&user_id, NotificationKind::OrderCancelled)
        .await;

    let again = system
        .cancel(&order.order_id, "once more")
        .await
        .unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition);
    let request = GetOrderRequest {
        order_id: order.order_id,
    };
    let found = system
        .orders
        .clone()
        .get_order(authorized(&system.token(&user_id), request))
        .await
        .unwrap()
        .into_inner()
        .order
        .unwrap();
    assert_eq!(found, cancelled);
    // And the one with the code that verifies the address.
    assert_eq!(system.mails(&user_id).await.len(), 4);
    system.stop().await;
}

#[rstest]
#[tokio::test]
async fn everyone_of_many_gets_exactly_their_own_mails(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    const USERS: usize = 20;
    let system = Running::start(stack).await;
    let mut users = Vec::new();
    for number in 0..USERS {
        users.push(system.register(&format!("user-{number}@example.com")).await);
    }
    for user_id in &users {
        system.order(user_id).await;
    }
    for user_id in &users {
        assert_eq!(
            system.sent(user_id, NotificationKind::Welcome).await.len(),
            1
        );
        assert_eq!(
            system
                .sent(user_id, NotificationKind::OrderPlaced)
                .await
                .len(),
            1
        );
    }
    system.stop().await;
}
