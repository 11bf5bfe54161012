//! A message has the same id on every path, from `message_id` or from `cloudEvents_id`.

use event::Message;
use messaging::dead_letters::DeadLetters;
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually};

use crate::effects::{QUEUE, each_on_its_own};
use crate::events::{Changed, Failure, id, message};
use crate::fixture::Fixture;

const CLOUD_ID: &str = "cloudEvents_id";

fn unnamed(event: &Changed) -> (Message, String) {
    let mut message = message(event, 1);
    message.message_id = None;
    let id = message.headers[CLOUD_ID].clone();
    (message, id)
}

#[rstest]
#[tokio::test]
async fn an_event_without_message_id_that_fails_first_has_one_row(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let (first, event_id) = unnamed(&Changed::failing("a", 1, Failure::Retry));
    let after = message(&Changed::of("b"), 1);
    fixture.send(&each_on_its_own(), [&first]).await;
    fixture.run_consumer(each_on_its_own());
    eventually("it has its effect", async || {
        let handled = fixture.handled().await;
        (handled == [event_id.clone()]).then_some(()).ok_or(handled)
    })
    .await;
    fixture.send(&each_on_its_own(), [&first, &after]).await;
    fixture.becomes(&id(&after), "done").await;
    fixture.stop().await;
    assert_eq!(fixture.handled().await, [event_id.clone(), id(&after)]);
    assert_eq!(fixture.held(&event_id).await.unwrap().state, "done");
    assert_eq!(fixture.inbox().await.len(), 2);
}

#[rstest]
#[tokio::test]
async fn an_event_without_message_id_that_was_rejected_has_one_row(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let (first, event_id) = unnamed(&Changed::failing("a", 1, Failure::Reject));
    fixture.send(&each_on_its_own(), [&first]).await;
    fixture.run_consumer(each_on_its_own());
    fixture.becomes(&event_id, "dead").await;
    let after = comes_again(&fixture, &first).await;
    fixture.stop().await;
    assert_eq!(fixture.handled().await, [after]);
}

#[rstest]
#[tokio::test]
async fn a_given_up_event_without_message_id_has_one_row(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let (first, event_id) = unnamed(&Changed::of("a"));
    fixture.send(&each_on_its_own(), [&first]).await;
    for _ in 0..=each_on_its_own().queue().delivery_limit {
        let transport = fixture.transport(&each_on_its_own());
        let mut receiver = transport.receiver(QUEUE, 1).await.unwrap();
        eventually("it comes", async || receiver.receive().await).await;
    }
    fixture.run_consumer(each_on_its_own());
    fixture.becomes(&event_id, "dead").await;
    let after = comes_again(&fixture, &first).await;
    let dead_letters = DeadLetters::new(fixture.store.clone(), QUEUE);
    let replayed = dead_letters.replay(&event_id, "ada", "it works now").await;
    assert!(replayed.unwrap());
    fixture.becomes(&event_id, "done").await;
    fixture.stop().await;
    assert_eq!(fixture.handled().await, [after, event_id]);
    assert_eq!(fixture.inbox().await.len(), 2);
}

/// Returns the id of a later event.
async fn comes_again(fixture: &Fixture, dead: &Message) -> String {
    let after = message(&Changed::of("b"), 1);
    fixture.send(&each_on_its_own(), [dead, &after]).await;
    fixture.becomes(&id(&after), "done").await;
    assert_eq!(fixture.inbox().await.len(), 2);
    id(&after)
}

#[rstest]
#[tokio::test]
async fn message_id_decides_where_both_ids_are_there(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let first = message(&Changed::failing("a", 1, Failure::Retry), 1);
    let mut second = first.clone();
    let other = id(&message(&Changed::of("a"), 1));
    second.headers.insert(CLOUD_ID.to_owned(), other);
    let mut third = message(&Changed::of("c"), 1);
    third.message_id = Some("not a UUID".to_owned());
    let after = message(&Changed::of("b"), 1);
    let all = [&first, &second, &third, &third, &after];
    fixture.send(&each_on_its_own(), all).await;
    fixture.run_consumer(each_on_its_own());
    fixture.becomes(&id(&first), "done").await;
    fixture.becomes(&id(&after), "done").await;
    let derived = event::event_id(&third).to_string();
    let cause = fixture.becomes(&derived, "dead").await.cause;
    assert!(cause.is_some_and(|cause| cause.contains("not a UUID")));
    fixture.stop().await;
    assert_eq!(fixture.inbox().await.len(), 3);
    assert_eq!(fixture.effects().await.len(), 2);
}
