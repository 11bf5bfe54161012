//! A message that cannot be read is stored with its cause, and blocks nothing.

use bytes::Bytes;
use contracts::Event as _;
use contracts::notification::v1::NotificationKind;
use contracts::user::v1::UserDeleted;
use event::Message;
use rstest::rstest;
use testkit::{Stack, eventually};
use uuid::Uuid;

use crate::system::{Running, message};

#[rstest]
#[tokio::test]
async fn an_undecodable_message_is_dead_while_the_queue_goes_on(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = Running::start(stack).await;
    let garbage = Bytes::from_static(&[0xff, 0xfe, 0xfd]);
    let not_protobuf = Message {
        body: garbage.clone(),
        ..message(Uuid::now_v7(), &UserDeleted::default())
    };
    let not_even_an_envelope = Message {
        exchange: UserDeleted::EXCHANGE.to_owned(),
        routing_key: UserDeleted::ROUTING_KEY.to_owned(),
        body: garbage.clone(),
        ..Message::default()
    };
    system.publish_raw(&not_protobuf).await;
    system.publish_raw(&not_even_an_envelope).await;

    let user_id = system.register("ada@example.com").await;
    system.sent(&user_id, NotificationKind::Welcome).await;
    for service in [notification_service::NAME, order_service::NAME] {
        let dead = eventually(&format!("{service} keeps both"), async || {
            let rows = system
                .query(
                    service,
                    "SELECT cause, body FROM angarium_inbox WHERE state = 'dead'",
                )
                .await;
            if rows.len() == 2 {
                Ok(rows)
            } else {
                Err(rows.len())
            }
        })
        .await;
        for row in dead {
            let (cause, body): (String, Vec<u8>) = (
                row.try_get("", "cause").unwrap(),
                row.try_get("", "body").unwrap(),
            );
            assert!(cause.starts_with("undecodable"), "{cause}");
            assert_eq!(body, garbage);
        }
    }
    system.stop().await;
}
