//! A message has the same id on every path, from `message_id` or from `cloudEvents_id`.

use event::Message;
use messaging::dead_letters::DeadLetters;
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually};

use crate::effects::{QUEUE, each_on_its_own};
use crate::events::{Changed, Failure, id, message};
use crate::world::World;

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
    let mut world = World::new(store, broker).await;
    let (first, event_id) = unnamed(&Changed::failing("a", 1, Failure::Retry));
    let after = message(&Changed::of("b"), 1);
    world.send(&each_on_its_own(), [&first]).await;
    world.run_consumer(each_on_its_own());
    eventually("it has its effect", async || {
        let handled = world.handled().await;
        (handled == [event_id.clone()]).then_some(()).ok_or(handled)
    })
    .await;
    world.send(&each_on_its_own(), [&first, &after]).await;
    world.becomes(&id(&after), "done").await;
    world.stop().await;
    assert_eq!(world.handled().await, [event_id.clone(), id(&after)]);
    assert_eq!(world.held(&event_id).await.unwrap().state, "done");
    assert_eq!(world.inbox().await.len(), 2);
}

#[rstest]
#[tokio::test]
async fn an_event_without_message_id_that_was_rejected_has_one_row(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut world = World::new(store, broker).await;
    let (first, event_id) = unnamed(&Changed::failing("a", 1, Failure::Reject));
    world.send(&each_on_its_own(), [&first]).await;
    world.run_consumer(each_on_its_own());
    world.becomes(&event_id, "dead").await;
    let after = comes_again(&world, &first).await;
    world.stop().await;
    assert_eq!(world.handled().await, [after]);
}

#[rstest]
#[tokio::test]
async fn a_given_up_event_without_message_id_has_one_row(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut world = World::new(store, broker).await;
    let (first, event_id) = unnamed(&Changed::of("a"));
    world.send(&each_on_its_own(), [&first]).await;
    for _ in 0..=each_on_its_own().queue().delivery_limit {
        let transport = world.transport(&each_on_its_own());
        let mut receiver = transport.receiver(QUEUE, 1).await.unwrap();
        eventually("it comes", async || receiver.receive().await).await;
    }
    world.run_consumer(each_on_its_own());
    world.becomes(&event_id, "dead").await;
    let after = comes_again(&world, &first).await;
    let dead_letters = DeadLetters::new(world.store.clone(), QUEUE);
    let replayed = dead_letters.replay(&event_id, "ada", "it works now").await;
    assert!(replayed.unwrap());
    world.becomes(&event_id, "done").await;
    world.stop().await;
    assert_eq!(world.handled().await, [after, event_id]);
    assert_eq!(world.inbox().await.len(), 2);
}

/// Returns the id of a later event.
async fn comes_again(world: &World, dead: &Message) -> String {
    let after = message(&Changed::of("b"), 1);
    world.send(&each_on_its_own(), [dead, &after]).await;
    world.becomes(&id(&after), "done").await;
    assert_eq!(world.inbox().await.len(), 2);
    id(&after)
}

#[rstest]
#[tokio::test]
async fn message_id_decides_where_both_ids_are_there(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut world = World::new(store, broker).await;
    let first = message(&Changed::failing("a", 1, Failure::Retry), 1);
    let mut second = first.clone();
    let other = id(&message(&Changed::of("a"), 1));
    second.headers.insert(CLOUD_ID.to_owned(), other);
    let mut third = message(&Changed::of("c"), 1);
    third.message_id = Some("not a UUID".to_owned());
    let after = message(&Changed::of("b"), 1);
    let all = [&first, &second, &third, &third, &after];
    world.send(&each_on_its_own(), all).await;
    world.run_consumer(each_on_its_own());
    world.becomes(&id(&first), "done").await;
    world.becomes(&id(&after), "done").await;
    let derived = event::event_id(&third).to_string();
    let cause = world.becomes(&derived, "dead").await.cause;
    assert!(cause.is_some_and(|cause| cause.contains("not a UUID")));
    world.stop().await;
    assert_eq!(world.inbox().await.len(), 3);
    assert_eq!(world.effects().await.len(), 2);
}
