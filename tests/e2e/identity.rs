//! The life of an account, from registration to deletion.

use rstest::rstest;
use scenarios::account;
use testkit::Stack;

use crate::system::Running;

#[rstest]
#[tokio::test]
async fn register_verify_log_in_order_reset_and_delete(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = Running::start(stack).await;
    let caller = system.caller();
    account::register_verify_log_in_order_reset_and_delete(
        &caller,
        "ada@example.com",
        "mallory@example.com",
    )
    .await
    .unwrap();
    system.stop().await;
}
