//! The main flow: users register and order, and get mails.

use contracts::notification::v1::NotificationKind;
use rstest::rstest;
use scenarios::ordering;
use testkit::Stack;

use crate::system::Running;

#[rstest]
#[tokio::test]
async fn registration_and_each_step_of_an_order_send_one_mail(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = Running::start(stack).await;
    let user_id = system.register("ada@example.com").await;
    let (token, admin) = (system.token(&user_id), system.tokens.admin());
    ordering::one_order_is_shipped_and_one_is_cancelled(&system.caller(), &token, &admin)
        .await
        .unwrap();
    let welcome = system.sent(&user_id, NotificationKind::Welcome).await;
    assert!(system.eml(&welcome[0]).contains("ada@example.com"));
    // And the mail with the code that verifies the address.
    assert_eq!(system.mails(&user_id).await.len(), 7);
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
